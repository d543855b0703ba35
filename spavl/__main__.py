"""Entry point of `python -m spavl` and of the `spavl` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a command and exit; a user error is a sentence and exit status 2, a bug of ours keeps its stack trace."""
    from spavl.cli.commands import run
    from spavl.threads import prepare_process

    prepare_process()
    sys.exit(run())


if __name__ == "__main__":
    main()
