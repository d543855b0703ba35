"""An OpenAI-compatible server that fails in every way that is known of real ones, for tests and `bench.chaos`.

`kinds` lists the faults by name, `plan` says which calls meet which one, `server` runs them on a real socket, in a
thread or (`process`) in a process of its own; `benign` is what is answered where nothing fails.
"""
