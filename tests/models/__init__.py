"""Tests of the room that reaches models."""
