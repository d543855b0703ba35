"""Verbs, no logic. `verbs` are the commands, `screen` what they print, `guide` the settings explained."""
