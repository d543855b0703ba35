"""Tests of the room that changes weights."""
