"""Settings of a control → the control."""

from __future__ import annotations

from pathlib import Path

from spavl.config.controls import (
    AgainControl,
    ControlSpec,
    CorruptionControl,
    PictureControl,
    PlaceboControl,
    RewordedControl,
    StyleControl,
    SystemControl,
    TypographicControl,
)
from spavl.evaluate.controls.control import Control
from spavl.evaluate.controls.corruptions import corrupted
from spavl.evaluate.controls.necessity import blank_picture, shuffled_pictures, with_caption, without_picture
from spavl.evaluate.controls.styles import styled
from spavl.evaluate.controls.typographic import question_in_picture, text_in_picture
from spavl.evaluate.controls.wording import reworded, sampled_again, with_system


def make_control(spec: ControlSpec, folder: Path, seed: int) -> Control:
    """The control of a settings entry; files that it names are read, and no picture is made.

    Args:
        spec: the entry.
        folder: where its pictures are written, under the hash of their bytes.
        seed: of its random choices.

    Raises:
        DataError: a file that it names cannot be used.
    """
    match spec:
        case PictureControl():
            return _necessity(spec, folder, seed)
        case CorruptionControl():
            return corrupted(spec.called, spec.kind, spec.level, folder)
        case StyleControl():
            return styled(spec.called, spec.kind, folder)
        case TypographicControl():
            return question_in_picture(spec.called, spec.carrier, spec.font, folder)
        case PlaceboControl():
            return text_in_picture(spec.called, spec.text, spec.font, folder)
        case RewordedControl():
            return reworded(spec.called, spec.kind, Path(spec.path))
        case SystemControl():
            return with_system(spec.called, spec.text)
        case AgainControl():
            return sampled_again(spec.called)


def _necessity(spec: PictureControl, folder: Path, seed: int) -> Control:
    match spec.kind:
        case "none":
            return without_picture(spec.called)
        case "blank":
            return blank_picture(spec.called, folder)
        case "shuffled":
            return shuffled_pictures(spec.called, seed)
        case "caption":
            return with_caption(spec.called)
