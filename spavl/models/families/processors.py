"""Opening a checkpoint's processor, also where its video processor cannot be built."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin
from transformers.video_processing_utils import VideoProcessorMixin
from typing_extensions import override

from spavl.models.families.facts import FACTS


class NoVideos(VideoProcessorMixin):  # type: ignore[misc]
    """Placeholder of a video processor that keeps its settings, so that a saved processor is complete.

    Args:
        settings: the video processor's settings, unread.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    @override
    def to_dict(self) -> dict[str, Any]:
        """The checkpoint's own settings."""
        return dict(self.settings)


class _WithoutVideos:
    """Mixin that lets a processor be built with `NoVideos`: its own check cannot name a video processor's class."""

    def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
        if name == "video_processor":
            return NoVideos
        return super().check_argument_for_proper_class(name, part)  # type: ignore[misc]


def without_videos(name: str) -> Any:
    """A transformers processor class that can be built for pictures and text alone.

    Args:
        name: of the class in transformers.
    """
    whole = ProcessorMixin.get_possibly_dynamic_module(name)
    return type(name, (_WithoutVideos, whole), {})


def load_processor(path: str | Path, *, revision: str = "main", trust_remote_code: bool = False) -> Any:
    """The processor of a checkpoint.

    Where packages are missing that only videos need, the same class is composed of the picture processor and the
    tokenizer; for pictures and text it gives what the complete processor gives.

    Args:
        path: a checkpoint folder or Hub id.
        revision: of the Hub repository.
        trust_remote_code: run Python code that comes with the checkpoint.
    """
    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    facts = FACTS.get(config.model_type)
    if facts is None or all(find_spec(package) for package in facts.processor_needs):
        opened = AutoProcessor.from_pretrained(
            path, revision=revision, trust_remote_code=trust_remote_code, backend="pil"
        )
        return _completed(opened, config)
    kind = without_videos(facts.processor)
    parts = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer, "video_processor": NoVideos}
    settings, _ = kind.get_processor_dict(path, revision=revision)
    members = [parts[name].from_pretrained(path, revision=revision) for name in kind.get_attributes()]
    return _completed(kind.from_args_and_dict(members, settings), config)


def _completed(processor: Any, config: Any) -> Any:
    """A processor of the LLaVA families, which count a picture's tokens by settings that older checkpoints lack.

    These are known from the model's configuration. A CLIP tower has one token before its patches.
    """
    own = vars(processor)
    if "patch_size" in own and own["patch_size"] is None:
        processor.patch_size = config.vision_config.patch_size
        processor.num_additional_image_tokens = int(config.vision_config.model_type == "clip_vision_model")
    if "vision_feature_select_strategy" in own and own["vision_feature_select_strategy"] is None:
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    return processor
