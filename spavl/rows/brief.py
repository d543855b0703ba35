"""Values as messages show them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BASE64 = re.compile(r"(data:[\w/+.-]+;base64,)?[A-Za-z0-9+/=_-]{60,}")


def brief(value: object) -> str:
    """A value as a message may show it: short, and never a picture's bytes.

    Args:
        value: a cell.
    """
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str) and _BASE64.match(value):
        return f"{len(value):,} characters of base64"
    if isinstance(value, Mapping):
        return f"an object with {', '.join(map(brief, list(value)[:6]))}" if value else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    if isinstance(value, str) and len(value) > 60:
        return f'"{value[:50]}…" ({len(value):,} letters)'
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)[:60]
