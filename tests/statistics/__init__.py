"""Tests of intervals, paired tests and agreement."""
