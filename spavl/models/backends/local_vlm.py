"""Loading a local vision-language model and generating with it in batches, for any family that transformers knows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, final

import torch
import transformers
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig, GenerationConfig
from transformers.utils import logging as transformers_logging

from spavl.errors import DataError, MissingExtra, ModelError
from spavl.models.backends.local_adapter import check_keys, put_adapter
from spavl.models.backends.local_trees import PictureFeatures, Question, answer_ids, make_question
from spavl.models.base import Prompt, Reply, Request, failed_reply
from spavl.models.families import FACTS, Family, control_tokens, end_ids, family_of
from spavl.models.families.processors import load_processor
from spavl.models.families.tokens import placeholder_ids
from spavl.models.sampling import GumbelSampler
from spavl.pictures import Picture, capped, open_upright

T = TypeVar("T")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Torch's dtypes by their names in the settings."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a checkpoint, with every `auto` resolved."""

    dtype: str
    """`float32`, `bfloat16` or `float16`."""
    device: str
    """Name of the torch device."""
    quantisation: str = "none"
    """`none`, `8bit` or `4bit`: of the language model's linear layers, its head apart."""
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
        MissingExtra: it is to be quantised, and bitsandbytes is not installed.
    """
    require_bitsandbytes(options.quantisation != "none", where="quantisation")
    with load_errors(folder), quiet():
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=DTYPES[options.dtype],
            quantization_config=_quantisation(folder, options),
            device_map=None if options.quantisation == "none" else {"": options.device},
            trust_remote_code=options.trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        check_complete(folder, model, report)
        if adapter is not None:
            model = put_adapter(model, adapter).merge_and_unload()
        if options.quantisation == "none":
            model = model.to(options.device)
        else:
            _leave_file(model)
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


def tree_family(model: Any, processor: Any) -> Family | None:
    """The family of a model whose answers can be generated on trees; None: transformers' own `generate` has to do it.

    Args:
        model: the model, not yet wrapped by peft.
        processor: its processor.
    """
    try:
        family = family_of(model, processor)
    except ModelError:
        return None
    return family if family.attention == "tree" else None


class RefusedByProcessor(Exception):
    """A checkpoint's processor or chat template refuses a request, such as a picture of one pixel by 300."""


@final
class VLM:
    """A loaded vision-language model that answers batches.

    Args:
        model: a transformers image-text-to-text model, in eval mode, wrapped by peft or not.
        processor: its processor, padding on the left.
        system: a system turn put before every prompt; empty: none.
        family: its family, for requests that share pictures to be answered on trees; None: each is answered alone.
        max_pixels: pictures of more are made smaller. None: none is.
        features: gives what the vision tower gives for pictures, on trees; None: it runs.
    """

    out_of_memory = torch.OutOfMemoryError
    """What `answer` raises when memory runs out, for callers that do not import torch."""

    def __init__(
        self, model: Any, processor: Any, system: str, family: Family | None = None, *,
        max_pixels: int | None = None, features: PictureFeatures | None = None,
    ) -> None:  # fmt: skip
        self._max_pixels, self._features = max_pixels, features
        self._model = model
        self._processor = processor
        self._system = system
        self._family = family
        self._device = str(model.device)
        self._fingerprint = f"transformers {transformers.__version__}, torch {torch.__version__}, {self._device}"
        self._forbidden = placeholder_ids(model.config)
        self._control = control_tokens(processor, model.config)
        self._end_ids = sorted(end_ids(processor, model.generation_config))

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order.

        A picture that cannot be opened, or a prompt that the processor refuses, fails its own request only.

        Args:
            requests: the batch.

        Raises:
            torch.OutOfMemoryError: the batch does not fit.
        """
        pictures = _open_pictures(requests, self._max_pixels)
        replies: dict[int, Reply] = {}
        questions: dict[int, Question] = {}
        alone: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            damaged = [found for i in request.prompt.pictures if isinstance(found := pictures[i.path], Reply)]
            if damaged:
                replies[index] = damaged[0]
            elif (question := self._question(request, pictures)) is not None:
                questions[index] = question
            else:
                # One batch for each number of pictures: few processors take rows with and without pictures in one call.
                alone.setdefault(len(request.prompt.pictures), []).append(index)
        replies.update(zip(questions, _together_or_alone(self._answer_on_trees, [*questions.values()]), strict=True))
        for members in alone.values():
            conversations = [
                (requests[index], self._conversation(requests[index].prompt, pictures)) for index in members
            ]
            replies.update(zip(members, _together_or_alone(self._answer_in_rows, conversations), strict=True))
        return [replies[index] for index in range(len(requests))]

    def _processed(self, turns: Sequence[Any]) -> Any:
        """What the processor makes of conversations; its refusals are told from failures of the model."""
        try:
            return self._processor.apply_chat_template(
                list(turns), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
                processor_kwargs={"padding": True},
            )  # fmt: skip
        except Exception as error:  # processors and templates raise whatever they like
            raise RefusedByProcessor(f"the processor refuses this: {type(error).__name__}: {error}") from error

    def free(self) -> None:
        """Free the weights."""
        del self._model, self._processor, self._family
        self.free_cache()

    def free_cache(self) -> None:
        """Give unused memory back to the device."""
        gc.collect()
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _question(self, request: Request, pictures: Mapping[Path, Any]) -> Question | None:
        """The request for a tree; None where it has to be answered alone, be it to say what is wrong with it."""
        prompt = request.prompt
        if self._family is None or (len(prompt.pictures) > 1 and not self._family.facts.several_pictures):
            return None
        shown = [Picture(image.sha256 or str(image.path), pictures[image.path]) for image in prompt.pictures]
        turns = [(turn.role, turn.text, len(turn.images)) for turn in prompt.turns]
        try:
            return make_question(request, shown, self._system_text(prompt), turns, self._family)
        except Exception:  # chat templates raise whatever they like
            return None

    def _answer_on_trees(self, questions: Sequence[Question]) -> list[Reply]:
        assert self._family is not None
        rows = answer_ids(
            self._model, self._family, questions,
            forbidden=frozenset(self._forbidden), ends=frozenset(self._end_ids), features=self._features,
        )  # fmt: skip
        return [self._reply(ids, len(question.ids)) for question, ids in zip(questions, rows, strict=True)]

    def _answer_in_rows(self, conversations: Sequence[tuple[Request, list[dict[str, Any]]]]) -> list[Reply]:
        """Answers by transformers' own `generate`, each request a row of its own."""
        requests, turns = zip(*conversations, strict=True)
        batch = self._processed(turns).to(self._device, dtype=self._model.dtype)
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
        return [self._reply(row[:limit], size) for row, limit, size in zip(rows, limits, sizes, strict=True)]

    def _conversation(self, prompt: Prompt, pictures: Mapping[Path, Any]) -> list[dict[str, Any]]:
        """The chat turns of a prompt, in the layout that all transformers processors take: pictures before the text."""
        system = self._system_text(prompt)
        turns = [{"role": "system", "content": [self._text(system)]}] if system else []
        for turn in prompt.turns:
            shown = [{"type": "image", "image": pictures[image.path]} for image in turn.images]
            turns.append({"role": turn.role, "content": [*shown, self._text(turn.text)]})
        return turns

    def _text(self, text: str) -> dict[str, Any]:
        return {"type": "text", "text": self._control.break_up(text)}

    def _system_text(self, prompt: Prompt) -> str:
        return "\n\n".join(text for text in (self._system, prompt.system) if text)

    def _reply(self, tokens: Sequence[int], prompt_tokens: int) -> Reply:
        """The reply of an answer's tokens, at most as many as its limit."""
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


def _together_or_alone(answer: Callable[[Sequence[T]], list[Reply]], asked: Sequence[T]) -> list[Reply]:
    """Answer together; if that fails, one by one, so that only the request at fault gets a failed reply."""
    if not asked:
        return []
    try:
        return answer(asked)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if len(asked) == 1:
            detail = f"the model cannot answer this: {type(error).__name__}: {error}"
            return [_invalid(str(error)) if isinstance(error, RefusedByProcessor) else failed_reply(detail)]
        return [reply for one in asked for reply in _together_or_alone(answer, [one])]


def _open_pictures(requests: Sequence[Request], most: int | None) -> dict[Path, Image.Image | Reply]:
    """Every distinct picture of the batch by its path, opened once; the reply in place of one that cannot be."""
    return {path: _open_picture(path, most) for path in {i.path for r in requests for i in r.prompt.pictures}}


def _open_picture(path: Path, most: int | None = None) -> Image.Image | Reply:
    try:
        return capped(open_upright(path), most)
    except DataError as error:
        detail = f"the picture {path.name} cannot be opened: {error.what}"
        cause = error.__cause__
        # A file that is not there may come back; a damaged one stays so, for calls are kept by its content.
        lost = isinstance(cause, OSError) and cause.errno is not None
        return failed_reply(detail) if lost else _invalid(detail)


def _invalid(detail: str) -> Reply:
    """The reply to a request that this model can never answer."""
    return Reply("", status="invalid", finish_reason="error", detail=detail)


def require_bitsandbytes(wanted: bool, *, where: str) -> None:
    """Refuse what needs bitsandbytes where it is not installed.

    Args:
        wanted: whether it is needed.
        where: the setting that needs it.

    Raises:
        MissingExtra: it is needed and not installed.
    """
    if wanted and find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes is not installed.", where=where, try_="pip install 'spavl[quantised]'")


def _quantisation(folder: Path, options: LoadOptions) -> BitsAndBytesConfig | None:
    """How bitsandbytes loads the language model; tower, projector and head, which are trained or small, stay whole."""
    if options.quantisation == "none":
        return None
    facts = FACTS.get(str(AutoConfig.from_pretrained(folder).model_type))
    whole = [*facts.vision, *facts.projector, facts.head] if facts else None
    if options.quantisation == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=whole)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[options.dtype],
        llm_int8_skip_modules=whole,
    )


def _leave_file(model: Any) -> None:
    """Copy what was not quantised: read in place, it would keep the whole file in memory, quantised weights too."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def check_complete(folder: Path, model: Any, report: Mapping[str, Any]) -> None:
    """Refuse a model whose weights are not all those of its checkpoint.

    Transformers fills missing ones with noise, and leaves out those it has no place for, with no more than a warning.

    Args:
        folder: the checkpoint.
        model: made of it.
        report: what `from_pretrained` said of it (`output_loading_info`).

    Raises:
        ModelError: weights are missing, of another shape, or have no place.
    """
    wrong = sorted(str(name) for name in report["mismatched_keys"])
    again = "name the whole checkpoint that `save_pretrained` wrote; save or download it again"
    if wrong:
        what = f"The checkpoint has {len(wrong)} weights of a shape other than configured, such as {wrong[0]}."
        raise ModelError(what, where=str(folder), try_=again)
    computed = {name for name, _ in model.named_buffers()}  # older versions saved these too
    unexpected = [str(name) for name in report["unexpected_keys"] if name not in computed]
    try:
        check_keys("checkpoint", sorted(map(str, report["missing_keys"])), unexpected)
    except ModelError as error:
        raise ModelError(error.what, where=str(folder), try_=again) from error


@contextmanager
def load_errors(folder: Path) -> Iterator[None]:
    """Turn any error of loading into a ModelError; damaged files raise many kinds of exception.

    Args:
        folder: the checkpoint.

    Raises:
        ModelError: the block raised anything but that, or a lack of memory.
    """
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
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and tables of weights: spavl shows its own bar, and says what is wrong."""
    bars, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
