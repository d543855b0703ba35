"""The page of an audit: its verdict, every finding with its interval, and the pairs that are suspected; no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spavl.report.audit_data import AuditShown, Suspect
from spavl.report.page import environment
from spavl.report.pictures import Inlined, inline


@dataclass(frozen=True, slots=True)
class SuspectView:
    """A suspected pair with the pictures that can be shown."""

    suspect: Suspect
    """The pair."""
    pictures: tuple[Inlined, ...]
    """Decoded and encoded anew."""


def render_audit(shown: AuditShown) -> str:
    """The page as HTML.

    Args:
        shown: what it shows.
    """
    return environment().get_template("audit.html.j2").render(audit_view(shown))


def audit_view(shown: AuditShown) -> dict[str, Any]:
    """What the template is given.

    Args:
        shown: what the page shows.
    """
    notes = shown.of_weight("note")
    return {
        "audit": shown, "faults": shown.of_weight("fault"), "notes": [one for one in notes if not one.nowhere],
        "nowhere": [one for one in notes if one.nowhere],
        "suspects": _suspects(shown.suspects, shown.picture_pixels),
    }  # fmt: skip


def _suspects(suspects: Sequence[Suspect], longest: int) -> list[SuspectView]:
    read = ((one, [inline(picture, longest) for picture in one.pictures]) for one in suspects)
    return [SuspectView(one, tuple(picture for picture in found if picture is not None)) for one, found in read]
