"""The command line: `commands` (what can be run, no logic), `terminal` (what is printed), `settings_help`."""
