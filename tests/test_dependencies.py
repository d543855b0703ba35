"""The base install is what its features need: no package of an extra, and nothing missing."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.test_layering import imports, modules

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "jaxtyping",
    "datasets",
    "matplotlib",
    "ray",
    "rapidocr",
    "onnxruntime",
    "usearch",
    "lmms_eval",
    "inspect_ai",
    "fastapi",
    "uvicorn",
    "markdown_it",
}
"""Packages that only an extra installs."""


def names_of(requirements: list[str]) -> set[str]:
    """Names of the distributions that requirements ask for, without spavl's own extras."""
    found = {re.split(r"[\[<>=~! ]", one)[0].lower().replace("-", "_") for one in requirements}
    return found - {"spavl"}


def imported() -> dict[str, set[str]]:
    """Modules of the package by the distribution that they import from."""
    owners = {top: {one.lower().replace("-", "_") for one in names} for top, names in packages_distributions().items()}
    found: dict[str, set[str]] = {}
    for path, tree in modules():
        for name, _ in imports(tree):
            top = name.split(".")[0]
            if top != "spavl" and top not in sys.stdlib_module_names:
                for owner in owners.get(top, {top}):
                    found.setdefault(owner, set()).add(path)
    return found


def test_every_base_dependency_is_imported_by_the_package() -> None:
    unused = names_of(PROJECT["dependencies"]) - imported().keys()
    assert not unused, "a dependency that nothing imports is left out"


IMPORTED_EXTRAS = ("report", "local", "align", "ray", "ocr", "search", "lmms", "inspect", "review")
"""Extras whose packages the package itself imports."""


def test_everything_the_package_imports_is_declared() -> None:
    optional = PROJECT["optional-dependencies"]
    declared = names_of(
        [
            *PROJECT["dependencies"],
            *(r for extra in IMPORTED_EXTRAS for r in optional[extra]),
        ]
    )
    transitive = {
        "anyio",
        "markupsafe",
        "typing_extensions",
        "pydantic_core",
        "tokenizers",
        "tensorboard",
        "torchvision",
        "bitsandbytes",
    }
    assert imported().keys() - declared - transitive == set()


def test_packages_of_extras_are_not_in_the_base_install() -> None:
    assert names_of(PROJECT["dependencies"]) & EXTRAS == set()
