"""`python -m spavl` and the `spavl` command."""

from __future__ import annotations

import sys
import warnings


def main() -> None:
    """Run a verb; a user's slip is a sentence and exit status 2, a bug of ours keeps its stack."""
    from spavl.cli.commands import run
    from spavl.threads import let_waiting_threads_sleep

    let_waiting_threads_sleep()
    # What transformers deprecates inside itself is no business of the person at the terminal.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")
    sys.exit(run())


if __name__ == "__main__":
    main()
