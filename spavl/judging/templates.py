"""Prompt templates: Markdown files with `{{placeholder}}`, filled in a single pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from spavl.errors import DataError
from spavl.judging.readers.verdicts import KEYS

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_MARK = re.compile(
    r"[\[［](?=[\[［])|<(?=<<)|>(?=>>)|[\[［](?=[*_`]{0,2}[ABCabcＡＢＣａｂｃ][*_`]{0,2}[\]］])|\\boxed(?=[{｛])"
    rf"|\"(?=(?:{'|'.join((*KEYS, 'harmlessness', 'helpfulness'))})\"\s*[:：])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt's text with its placeholders."""

    text: str
    """The prompt, placeholders in it."""
    source: str
    """File that it comes from, for messages."""

    @property
    def placeholders(self) -> frozenset[str]:
        """Placeholders that stand in it."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def fill(self, values: Mapping[str, str]) -> str:
        """The prompt with its placeholders replaced, in a single pass: a value cannot bring in placeholders of its own.

        Verdict marks (`[[…]]`, `[A]`, a boxed letter, JSON with a verdict's key) and delimiters (`<<<`, `>>>`) inside a
        value are broken up by a blank, so that an answer under judgement cannot inject a verdict or pretend to end.

        Args:
            values: text by placeholder.
        """
        return _PLACEHOLDER.sub(lambda found: _break_marks(values[found.group(1)]), self.text)


def load_template(
    name: str, placeholders: tuple[str, ...], path: str | None = None, *, needed: tuple[str, ...] = ()
) -> Template:
    """A built-in prompt template, or one from the user's own file.

    Args:
        name: file name in `spavl/prompts/`, without suffix.
        placeholders: placeholders that may stand in it.
        path: the user's own file, instead of the built-in one.
        needed: placeholders that must stand in it.

    Raises:
        DataError: the file is missing, has a placeholder that nothing fills, or lacks one that is `needed`.
    """
    source = path or f"prompts/{name}.md"
    try:
        text = Path(path).read_text("utf-8") if path else (files("spavl") / "prompts" / f"{name}.md").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The prompt file cannot be read: {error}", where=source) from error
    found = set(_PLACEHOLDER.findall(text))
    unknown, missing = sorted(found - set(placeholders)), [p for p in needed if p not in found]
    if unknown or missing:
        fault = "has a placeholder that nothing fills" if unknown else "lacks a placeholder"
        near = get_close_matches(unknown[0], placeholders, n=1) if unknown else []
        meant = f"did you mean {{{{{near[0]}}}}}? " if near else ""
        raise DataError(
            f"The prompt {fault}: {{{{{[*unknown, *missing][0]}}}}}",
            where=source,
            try_=f"{meant}use {', '.join('{{' + p + '}}' for p in placeholders)}",
        )
    return Template(text.strip(), source)


def _break_marks(value: str) -> str:
    # Lookahead rather than replacement: in `[[[A]]`, replacing `[[` would leave a whole mark behind it.
    return _MARK.sub(r"\g<0> ", value)
