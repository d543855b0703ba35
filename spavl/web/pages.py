"""Pages of a local web app as HTML: all text escaped, control characters spelt out, a missing value an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from spavl.plural import plural
from spavl.visible_text import visible

StaticFiles = Mapping[str, tuple[str, str, str]]
"""Files that pages load: package, path in it, and media type, by the name in the address."""
STATIC: Final[StaticFiles] = MappingProxyType({
    "palette.css": ("spavl.report", "palette.css", "text/css"),
    "web.css": ("spavl.web", "pages/web.css", "text/css"),
    "icon.svg": ("spavl.web", "pages/icon.svg", "image/svg+xml"),
    "htmx.js": ("spavl.web", "pages/htmx.min.js", "text/javascript"),
})  # fmt: skip
"""Files that pages of every app load."""


def static_of(own: StaticFiles, name: str) -> tuple[str, str]:
    """Text and media type of a file that pages load.

    Args:
        own: the app's own files.
        name: in the address.

    Raises:
        KeyError: there is none.
    """
    return _text_of(*{**STATIC, **own}[name])


@cache
def _text_of(package: str, path: str, kind: str) -> tuple[str, str]:
    return (files(package) / path).read_text("utf-8"), kind


def environment_of(package: str) -> Environment:
    """What the pages of an app are rendered with; its templates may extend `base.html.j2`, the frame of every page.

    Args:
        package: whose folder `pages` holds its templates.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, "pages"), PackageLoader("spavl.web", "pages")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_spelt,
    )  # fmt: skip
    made.filters |= {"plural": plural}
    return made


def _spelt(value: Any) -> Any:
    return visible(value) if type(value) is str else value
