"""Tests of prompts and verdict readers."""
