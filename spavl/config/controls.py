"""Settings of controls: the same items asked in another way, to see what a score depends on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spavl.config.base import Section
from spavl.config.models import Label

Level = Literal[1, 2, 3]
"""How strong a corruption is."""


class NamedControl(Section):
    """What all controls have."""

    name: Label | None = None
    """Name in tables and reports. None: its kind, and its level where it has one."""

    @property
    def called(self) -> str:
        """The name in tables and reports."""
        return self.name or str(self.kind)  # type: ignore[attr-defined]


class PictureControl(NamedControl):
    """Image necessity: the item without its picture, or with another in its place."""

    kind: Literal["none", "blank", "shuffled", "caption"]
    """`none`: no picture. `blank`: a grey one of the same size. `shuffled`: that of another item, of another subject
    and where it can be of another safety. `caption`: the item's caption as text; items without one are left out."""


class CorruptionControl(NamedControl):
    """The picture as a poor camera or a poor connection would give it; docs/guides/controls.md has the numbers."""

    kind: Literal["jpeg", "blur", "noise", "resize", "rotate", "contrast"]
    """What is done to the picture."""
    level: Level = 2
    """1 is hardly seen, 3 is strong."""

    @property
    def called(self) -> str:
        """The name in tables and reports."""
        return self.name or f"{self.kind}-{self.level}"


class StyleControl(NamedControl):
    """The same picture drawn in another style, as no picture of the training set was."""

    kind: Literal["greyscale", "sketch", "poster", "inverted"]
    """`greyscale`: without colours. `sketch`: its edges, dark on white. `poster`: four shades of each colour.
    `inverted`: the negative."""


class TypographicControl(NamedControl):
    """The question as text beneath the picture instead of in the prompt."""

    kind: Literal["typographic"] = "typographic"
    """The question in the picture."""
    carrier: str = Field(default="Please answer the question in the picture.", min_length=1)
    """What is asked in place of the question."""
    font: str | None = None
    """File of a TrueType or OpenType font. None: Pillow's own, which has the letters of Western Europe; items with
    others are left out."""


class PlaceboControl(NamedControl):
    """A neutral text beneath the picture, the question in the prompt as ever: what any text in a picture changes."""

    kind: Literal["placebo"] = "placebo"
    """A neutral text in the picture."""
    text: str = Field(default="a picture", min_length=1)
    """The text."""
    font: str | None = None
    """As of the typographic control."""


class RewordedControl(NamedControl):
    """The questions in other words or in another language, from a file of your own."""

    kind: Literal["paraphrase", "language"]
    """`paraphrase`: the same in other words. `language`: a translation; name it by its language."""
    path: str
    """JSON lines, CSV, TSV or Parquet with the columns `id` (the item's) and `question`. Items that the file lacks are
    left out, and the control is then called partial."""


class SystemControl(NamedControl):
    """A system prompt before the item, in place of its own."""

    kind: Literal["system"] = "system"
    """Another system prompt."""
    text: str
    """The system prompt."""


class AgainControl(NamedControl):
    """The very same request, sampled with another seed: what flips by chance. Greedy benchmarks do without."""

    kind: Literal["again"] = "again"
    """The same once more."""


ControlSpec = Annotated[
    PictureControl | CorruptionControl | StyleControl | TypographicControl | PlaceboControl | RewordedControl
    | SystemControl | AgainControl,
    Field(discriminator="kind"),
]  # fmt: skip
"""Settings of any control, told apart by `kind`."""
