"""`python -m spavl` and the `spavl` command."""

from __future__ import annotations

import os
import sys
import warnings


def main() -> None:
    """Run a verb; a user's slip is a sentence and exit status 2, a bug of ours keeps its stack."""
    from spavl.cli.verbs import run

    # Threads that spin while they wait starve each other on few cores; torch reads this when it is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What transformers deprecates inside itself is no business of the person at the terminal.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")
    sys.exit(run())


if __name__ == "__main__":
    main()
