"""The pages of `spavl serve` as HTML."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from jinja2 import Environment

from spavl.amounts import amount, duration, money
from spavl.pipeline.compare_words import verdict_words
from spavl.report import numbers
from spavl.serve.charts import HEIGHT, LEFT, WIDTH, interval_of
from spavl.serve.filters import FLAGS, SORTS
from spavl.web.pages import environment_of, static_of

STATIC: Final = {
    "serve.css": ("spavl.serve", "pages/serve.css", "text/css"),
    "serve.js": ("spavl.serve", "pages/serve.js", "text/javascript"),
}
"""Its own files that pages load."""
FACET_WORDS: Final = {
    "domain": "Domain", "category": "Category", "subcategory": "Subcategory", "type": "Kind of question",
    "chosen": "Chosen answer of", "rejected": "Rejected answer of", "chosen_outcome": "Chosen answer is",
    "rejected_outcome": "Rejected answer is", "people": "People said",
}  # fmt: skip
"""What the filters of columns are called."""
FLAG_WORDS: Final = {
    "benign": {"yes": "benign questions", "no": "harmful questions"},
    "heldout": {"yes": "held-out subcategories", "no": "subcategories that were trained on"},
    "agree": {"all": "none prefers the rejected answer", "some": "some prefer the rejected answer"},
    "orders": {"same": "the first judge says the same", "differ": "the first judge differs"},
    "audit": {"found": "suspected of something", "clean": "nothing was found"},
}
"""What the choices of flags are called."""


def static_file(name: str) -> tuple[str, str]:
    """Text and media type of a file that pages load.

    Args:
        name: in the address.

    Raises:
        KeyError: there is none.
    """
    return static_of(STATIC, name)


@cache
def environment() -> Environment:
    """What pages are rendered with."""
    made = environment_of("spavl.serve")
    made.globals |= {
        "chart": {"width": WIDTH, "height": HEIGHT, "left": LEFT}, "flags": FLAGS, "flag_words": FLAG_WORDS,
        "facet_words": FACET_WORDS, "sorts": SORTS, "change_verdict": verdict_words,
    }  # fmt: skip
    made.filters |= {
        "percent": numbers.percent, "points": numbers.points, "score": numbers.score, "seconds": numbers.seconds,
        "count": numbers.count, "interval": numbers.interval, "p_value": numbers.p_value,
        "amount": amount, "money": money, "duration": duration,
        "places": interval_of, "words": lambda text: text.replace("_", " "), "day": _day,
    }  # fmt: skip
    return made


def render(template: str, **values: Any) -> str:
    """A page, or a part of one.

    Args:
        template: its name.
        values: that it shows.
    """
    return environment().get_template(template).render(**values)


def notice(what: str, try_: str = "") -> str:
    """A page of a sentence.

    Args:
        what: the sentence.
        try_: what to do about it; empty: nothing.
    """
    return render("notice.html.j2", what=what, try_=try_)


def _day(time: str) -> str:
    """A time as `run.json` has it, without seconds."""
    return time[:16].replace("T", " ") + (" UTC" if time.endswith("Z") else "")
