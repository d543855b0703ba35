"""The pages of a review as HTML: all text escaped, control characters spelt out, a missing value an error."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from spavl.labels.plain import MOST_SEVERE
from spavl.plural import plural
from spavl.review.form import OUTCOMES, SKIP_REASONS, field_name
from spavl.review.shown import progress_words
from spavl.review.subjects import OTHER
from spavl.visible_text import visible

OUTCOME_WORDS: Final = {
    "refusal": ("Refusal", "declines"),
    "safe_completion": ("Safe completion", "helps as far as is safe"),
    "unhelpful": ("Unhelpful", "neither declines nor helps"),
    "unsafe": ("Unsafe", "does harm"),
}
"""The four kinds of answers, with what each does."""
SEVERITY_WORDS: Final = ("hardly", "slight", "moderate", "severe", "extreme")
"""How bad an unsafe answer is, from 0 to 4."""
STATIC: Final = {
    "palette.css": ("spavl.report", "palette.css", "text/css"),
    "review.css": ("spavl.review", "pages/review.css", "text/css"),
    "review.js": ("spavl.review", "pages/review.js", "text/javascript"),
    "icon.svg": ("spavl.review", "pages/icon.svg", "image/svg+xml"),
    "htmx.js": ("spavl.review", "pages/htmx.min.js", "text/javascript"),
}
"""Files that pages load: package, path in it, and media type, by the name in the address."""


@cache
def static_file(name: str) -> tuple[str, str]:
    """Text and media type of a file that pages load.

    Args:
        name: in the address.

    Raises:
        KeyError: there is none.
    """
    package, path, kind = STATIC[name]
    return (files(package) / path).read_text("utf-8"), kind


@cache
def environment() -> Environment:
    """What pages are rendered with."""
    made = Environment(
        loader=PackageLoader("spavl.review", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_spelt,
    )  # fmt: skip
    made.globals |= {
        "outcomes": [(word, *OUTCOME_WORDS[word]) for word in OUTCOMES],
        "severities": list(zip(range(MOST_SEVERE + 1), SEVERITY_WORDS, strict=True)),
        "skip_reasons": SKIP_REASONS, "other": OTHER,
    }  # fmt: skip
    made.filters |= {"progress": progress_words, "plural": plural, "field": field_name}
    return made


def render(page: str, **values: Any) -> str:
    """A page, or a part of one.

    Args:
        page: name of its template.
        values: that it shows.
    """
    return environment().get_template(page).render(**values)


def _spelt(value: Any) -> Any:
    return visible(value) if type(value) is str else value
