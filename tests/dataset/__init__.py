"""Tests of the dataset's stages, with plain functions in place of models."""
