"""Parts of `bench.trust`, each measured by a process of its own."""
