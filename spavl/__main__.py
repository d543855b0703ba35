"""Entry point of `python -m spavl` and of the `spavl` command."""

from __future__ import annotations

import sys

from spavl.cli import INTERRUPTED, STOPPED


def main() -> None:
    """Run a command and exit; a user error is a sentence and exit status 2, a bug of ours keeps its stack trace."""
    try:
        from spavl.cli.commands import run
        from spavl.threads import prepare_process

        prepare_process()
        status = run()
    except KeyboardInterrupt:  # Ctrl-C before there is a command, while modules are imported
        sys.stderr.write(f"{STOPPED}\n")
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
