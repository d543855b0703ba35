"""Open a checkpoint's processor, also where its video part cannot be built."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin
from transformers.video_processing_utils import VideoProcessorMixin

from spavl.models.families.facts import FACTS


class NoVideos(VideoProcessorMixin):  # type: ignore[misc]
    """Stands where a video processor would, and keeps its settings, so that a saved processor is whole."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def to_dict(self) -> dict[str, Any]:
        """The checkpoint's own settings, unread."""
        return dict(self.settings)


class _WithoutVideos:
    """Lets a processor's class be built with `NoVideos`, where its own check cannot even name a video processor."""

    def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
        if name == "video_processor":
            return NoVideos
        return super().check_argument_for_proper_class(name, part)  # type: ignore[misc]


def without_videos(name: str) -> Any:
    """A transformers processor class, by name, that can be built for pictures and text alone."""
    whole = ProcessorMixin.get_possibly_dynamic_module(name)
    return type(name, (_WithoutVideos, whole), {})


def load_processor(path: str | Path, *, revision: str = "main", trust_remote_code: bool = False) -> Any:
    """The processor of a checkpoint folder or Hub id.

    Where packages are missing that only videos need, the same class is composed from the picture processor and the
    tokenizer: pictures and text come out as they would from the whole.
    """
    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    facts = FACTS.get(config.model_type)
    if facts is None or all(find_spec(package) for package in facts.processor_needs):
        return AutoProcessor.from_pretrained(
            path, revision=revision, trust_remote_code=trust_remote_code, backend="pil"
        )
    kind = without_videos(facts.processor)
    parts = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer, "video_processor": NoVideos}
    settings, _ = kind.get_processor_dict(path, revision=revision)
    opened = [parts[name].from_pretrained(path, revision=revision) for name in kind.get_attributes()]
    return kind.from_args_and_dict(opened, settings)
