"""Tests of benchmarks, scorers and loaders."""
