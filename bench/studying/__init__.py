"""Benchmarks of studies, reports and what people are shown; `bench/study.py` runs all."""
