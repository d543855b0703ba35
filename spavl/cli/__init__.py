"""The command line: `commands` (what can be run, no logic), `terminal` (what is printed), `settings_help`."""

STOPPED = "\nStopped. Everything finished is stored; run the same command again to go on."
"""What is said after Ctrl-C."""
INTERRUPTED = 130
"""Exit status after Ctrl-C."""
