"""Controls: the same items asked in another way, so that a model's answers can be compared with its own, item by item.

In reading order: `control` (what a control is, and which items get it), `necessity` (no picture, a blank one, another
item's, a caption), `corruptions` (JPEG, blur, noise, resize, rotate, contrast), `typographic` (the question in the
picture, and its placebo), `wording` (paraphrase, language, system prompt, the same again), `make` (from settings),
`results` (rates, comparison and flips).
"""

from spavl.evaluate.controls.control import Control, Controlled, PictureShown, choose, controlled, planned
from spavl.evaluate.controls.make import make_control
from spavl.evaluate.controls.results import ControlledMetric, ControlResult, own_part, results, score_originals

__all__ = [
    "Control",
    "ControlResult",
    "Controlled",
    "ControlledMetric",
    "PictureShown",
    "choose",
    "controlled",
    "make_control",
    "own_part",
    "planned",
    "results",
    "score_originals",
]
