"""Bridge to Inspect: our models as a provider, our benchmarks as tasks, any run as logs that its viewer opens.

`log` (a table of scores as what a log holds), `batching` and `repeated` (questions asked together, and again) need no
Inspect; `export` (logs as files), `provider`, `tasks` and `entry_point` (what `inspect eval` finds) do.
"""
