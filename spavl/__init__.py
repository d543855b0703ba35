"""spavl: safety preference alignment for vision-language models, from pictures to a report."""

__version__ = "0.1.0"
