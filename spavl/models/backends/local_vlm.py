"""Loading a local vision-language model and generating with it in batches, for any family that transformers knows."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, GenerationConfig
from transformers.utils import logging as transformers_logging

from spavl.errors import ModelError
from spavl.models.base import Prompt, Reply, Request, failed_reply
from spavl.models.families.processors import load_processor
from spavl.models.sampling import GumbelSampler
from spavl.pictures import open_upright

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Torch's dtypes by their names in the settings."""

PLACEHOLDERS = ("image_token_id", "image_token_index", "video_token_id", "video_token_index", "audio_token_id")
"""Entries of a model's configuration that hold ids of placeholder tokens: those that stand for something but text."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a checkpoint, with every `auto` resolved."""

    dtype: str
    """`float32`, `bfloat16` or `float16`."""
    device: str
    """Name of the torch device."""
    quantisation: str = "none"
    """`none`, `8bit` or `4bit`."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""


def load(folder: Path, options: LoadOptions, adapter: Path | None) -> tuple[Any, Any]:
    """The model, in eval mode, and the processor, padding on the left, of a checkpoint folder.

    Args:
        folder: the checkpoint; only safetensors weights are read.
        options: dtype, device, quantisation, code.
        adapter: a peft adapter folder, merged into the weights. None: no adapter.

    Raises:
        ModelError: the folder is damaged or incomplete, or has no chat template.
    """
    with _load_errors(folder), _no_progress_bars():
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=DTYPES[options.dtype],
            quantization_config=_quantisation(options.quantisation),
            trust_remote_code=options.trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        _check_complete(folder, report)
        if adapter is not None:
            model = _merged(model, adapter)
        if options.quantisation == "none":
            model = model.to(options.device)
        processor = load_processor(folder, trust_remote_code=options.trust_remote_code)
    if processor.chat_template is None:
        raise ModelError(
            "The checkpoint has no chat template, so its prompts cannot be formatted.",
            where=str(folder),
            try_="Put the family's chat_template.jinja into the folder.",
        )
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return model.eval(), processor


@final
class VLM:
    """A loaded vision-language model that answers batches.

    Args:
        model: a transformers image-text-to-text model, in eval mode.
        processor: its processor, padding on the left.
        system: a system turn put before every prompt; empty: none.
    """

    out_of_memory = torch.OutOfMemoryError
    """What `answer` raises when memory runs out, for callers that do not import torch."""

    def __init__(self, model: Any, processor: Any, system: str) -> None:
        self._model = model
        self._processor = processor
        self._system = system
        self._device = str(model.device)
        self._fingerprint = f"transformers {transformers.__version__}, torch {torch.__version__}, {self._device}"
        config = model.config.to_dict()
        self._forbidden = sorted({config[name] for name in PLACEHOLDERS if config.get(name) is not None})
        tokens = {*processor.tokenizer.all_special_tokens, *processor.tokenizer.convert_ids_to_tokens(self._forbidden)}
        self._control = re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)))
        self._end_ids = _as_list(model.generation_config.eos_token_id or processor.tokenizer.eos_token_id)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order.

        A picture that cannot be opened, or a prompt that the processor refuses, fails its own request only.

        Args:
            requests: the batch.

        Raises:
            torch.OutOfMemoryError: the batch does not fit.
        """
        pictures = _open_pictures(requests)
        replies: dict[int, Reply] = {}
        groups: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            damaged = [pictures[i.path] for i in request.prompt.images if isinstance(pictures[i.path], str)]
            if damaged:
                replies[index] = failed_reply(str(damaged[0]))
            else:
                # One batch for each number of pictures: few processors take rows with and without pictures in one call.
                groups.setdefault(len(request.prompt.images), []).append(index)
        for members in groups.values():
            answers = self._answer_or_split([requests[i] for i in members], pictures)
            replies.update(zip(members, answers, strict=True))
        return [replies[index] for index in range(len(requests))]

    def free(self) -> None:
        """Free the weights."""
        del self._model, self._processor
        self.free_cache()

    def free_cache(self) -> None:
        """Give unused memory back to the device."""
        gc.collect()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _answer_or_split(self, requests: Sequence[Request], pictures: Mapping[Path, Any]) -> list[Reply]:
        """Answer together; if that fails, one by one, so that only the request at fault gets a failed reply."""
        try:
            return self._answer_group(requests, pictures)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if len(requests) == 1:
                return [failed_reply(f"the model cannot answer this: {type(error).__name__}: {error}")]
            return [reply for request in requests for reply in self._answer_or_split([request], pictures)]

    def _answer_group(self, requests: Sequence[Request], pictures: Mapping[Path, Any]) -> list[Reply]:
        batch = self._processor.apply_chat_template(
            [self._conversation(request.prompt, pictures) for request in requests],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self._device, dtype=self._model.dtype)
        length = batch["input_ids"].shape[1]
        limits = [request.sampling.max_tokens for request in requests]
        with torch.inference_mode():
            generated = self._model.generate(
                **batch,
                generation_config=GenerationConfig(
                    max_new_tokens=max(limits),
                    do_sample=False,
                    eos_token_id=self._end_ids,
                    pad_token_id=self._processor.tokenizer.pad_token_id,
                ),
                logits_processor=[GumbelSampler(requests, length, self._forbidden, self._device)],
            )
        sizes = batch["attention_mask"].sum(1).tolist()
        rows = generated[:, length:].tolist()
        return [self._reply(row, limit, size) for row, limit, size in zip(rows, limits, sizes, strict=True)]

    def _conversation(self, prompt: Prompt, pictures: Mapping[Path, Any]) -> list[dict[str, Any]]:
        """The chat turns of a prompt, in the layout that all transformers processors take: pictures before the text."""
        images = [{"type": "image", "image": pictures[image.path]} for image in prompt.images]
        turns = [{"role": "user", "content": [*images, self._text(prompt.text)]}]
        system = "\n\n".join(text for text in (self._system, prompt.system) if text)
        return [{"role": "system", "content": [self._text(system)]}, *turns] if system else turns

    def _text(self, text: str) -> dict[str, str]:
        """Text of a prompt, in which strings that the tokenizer would read as control tokens are broken up.

        What another model wrote must end no turn and stand for no picture.
        """
        return {"type": "text", "text": self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)}

    def _reply(self, row: list[int], limit: int, prompt_tokens: int) -> Reply:
        tokens = row[:limit]
        end = next((position for position, token in enumerate(tokens) if token in self._end_ids), None)
        answer = tokens if end is None else tokens[:end]
        return Reply(
            self._processor.tokenizer.decode(answer, skip_special_tokens=True).strip(),
            status="truncated" if end is None else "ok",
            finish_reason="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(answer),
            fingerprint=self._fingerprint,
        )


def _open_pictures(requests: Sequence[Request]) -> dict[Path, Image.Image | str]:
    """Every distinct picture of the batch by its path, opened once; an error message in place of one that cannot be."""
    return {path: _open_picture(path) for path in {i.path for r in requests for i in r.prompt.images}}


def _open_picture(path: Path) -> Image.Image | str:
    try:
        return open_upright(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"the picture {path.name} cannot be opened: {error}"


def _merged(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    with _load_errors(adapter):
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()


def _quantisation(kind: str) -> BitsAndBytesConfig | None:
    match kind:
        case "8bit":
            return BitsAndBytesConfig(load_in_8bit=True)
        case "4bit":
            return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
        case _:
            return None


def _check_complete(folder: Path, report: Mapping[str, Any]) -> None:
    """Transformers fills missing weights with noise and only warns; such a model must not answer."""
    missing = sorted(str(name) for name in report["missing_keys"])
    wrong = sorted(str(name) for name in report["mismatched_keys"])
    if missing or wrong:
        raise ModelError(
            f"The checkpoint lacks {len(missing)} weights and has {len(wrong)} of a shape other than configured: "
            f"{', '.join((missing + wrong)[:3])} ...",
            where=str(folder),
            try_="Save or download it again.",
        )


@contextmanager
def _load_errors(folder: Path) -> Iterator[None]:
    """Turn any error of loading into a ModelError; damaged files raise many kinds of exception."""
    try:
        yield
    except (ModelError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The checkpoint cannot be loaded: {first_line}",
            where=str(folder),
            try_="Check that the folder is a whole transformers checkpoint; save or download it again.",
        ) from error


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Without the progress bars of transformers: spavl shows its own."""
    before = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            transformers_logging.enable_progress_bar()


def _as_list(ids: int | list[int] | None) -> list[int]:
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else list(ids)
