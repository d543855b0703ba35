"""The words sent to models: Markdown files with `{{placeholder}}`, filled in one pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from spavl.errors import DataError

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_MARK = re.compile(r"\[(?=\[)|<(?=<<)|>(?=>>)")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt's text with its placeholders."""

    text: str
    source: str

    @property
    def hash(self) -> str:
        """Names this wording wherever a number made with it is shown."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def fill(self, values: Mapping[str, str]) -> str:
        """Put the values in, in a single pass, so that nothing inside a value can become a placeholder.

        Verdict marks (`[[…]]`) and end-of-material marks inside a value are broken up, so an answer cannot vote for
        itself or pretend to end.
        """
        return _PLACEHOLDER.sub(lambda found: _disarm(values[found.group(1)]), self.text)


def load_template(
    name: str, placeholders: tuple[str, ...], path: str | None = None, *, needed: tuple[str, ...] = ()
) -> Template:
    """A built-in prompt by name, or the user's own file.

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
        raise DataError(
            f"The prompt {fault}: {{{{{[*unknown, *missing][0]}}}}}",
            where=source,
            try_=f"use {', '.join('{{' + p + '}}' for p in placeholders)}",
        )
    return Template(text.strip(), source)


def _disarm(value: str) -> str:
    # Looking ahead, not replacing: `[[[A]]` would keep a whole mark behind the one that is broken up.
    return _MARK.sub(r"\g<0> ", value)
