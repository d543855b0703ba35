"""The forms that a dataset is written in: columns, kind of file, what each has room for, and what to do next.

`ExportForm.fields` are the fields that a form keeps, in the words of `Holdings.fields`; what else a dataset holds is
lost, and the export names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from spavl.config.align import PairForm
from spavl.interchange.writers import layouts
from spavl.interchange.writers.layouts import ValuesOf
from spavl.interchange.writers.row import Holdings
from spavl.preferences.about import ABOUT, FIELDS

Kind = Literal["parquet", "jsonl", "json", "csv"]
"""Kind of file."""
TEXT = pa.string()
INSIDE = pa.struct([("bytes", pa.binary()), ("path", TEXT)])
"""Type of a picture's cell whose bytes are inside."""
ANY = 2**31
"""As many pictures as there are."""
LF_MARKS = ("<video>", "<audio>")
SWIFT_MARKS = (*LF_MARKS, "<bbox>", "<ref-object>", "<cot-process>", "<start-image>")
_PART = pa.struct([("type", TEXT), ("text", TEXT)])
_PARTS = pa.list_(pa.struct([("role", TEXT), ("content", pa.list_(_PART))]))
_SHAREGPT = pa.struct([("from", TEXT), ("value", TEXT)])
_MESSAGES = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))
Columns = Mapping[str, pa.DataType]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportForm:
    """A form that a dataset is written in."""

    what: str
    """Whose form it is, for `--help` and the card."""
    read_as: PairForm
    """Our reader's name of it."""
    layout: ValuesOf
    """Gives the values of a row."""
    kind: Kind = "parquet"
    """Kind of file."""
    columns: Callable[[pa.DataType], Columns]
    """Types of its columns by the type of a picture's cell; columns of what is known of a pair follow."""
    inside: bool = False
    """Whether the bytes of pictures are inside the rows; else they are files beside them."""
    pictures: tuple[int, int] = (0, ANY)
    """Least and most pictures of a row."""
    earlier: Literal["none", "alternating", "any"] = "any"
    """Which earlier turns there is room for."""
    system: Literal["none", "column", "message"] = "column"
    """Where a system turn stands."""
    extra: bool = True
    """Whether there is room for further columns: `pair_id`, `weight`, and what is known of a pair."""
    unread: bool = True
    """Whether its trainer leaves these columns unread."""
    unequal: bool = False
    """Whether its trainer needs answers that differ."""
    marks: tuple[str, ...] = ()
    """Words that its trainer takes for places of something else."""
    next: str = ""
    """What to do with the files; `{folder}` stands for their folder, `{quoted}` for it in a shell, `{name}` for the
    dataset's name."""

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it keeps."""
        there = {"pictures": self.pictures[1] > 0, "earlier": self.earlier != "none", "system": self.system != "none"}
        kept = {"question", "chosen", "rejected", *(name for name, room in there.items() if room)}
        return frozenset(kept | ({"pair_id", "weight", *ABOUT} if self.extra else set()))

    def lost(self, held: Holdings) -> tuple[str, ...]:
        """What a dataset holds and the form does not keep in any row.

        Args:
            held: by the dataset.
        """
        refused = {"earlier", "system", "pictures"}  # rows with these are refused, not written without them
        return tuple(name for name in held.fields() if name not in self.fields and name not in refused)

    def schema(self, held: Holdings) -> pa.Schema:
        """The columns of its file, of which those of no use to the dataset are left out.

        Args:
            held: by the dataset.
        """
        core = dict(self.columns(INSIDE if self.inside else TEXT))
        needed = {"images": held.most_pictures > 1 or "image" not in core, "earlier": held.earlier}
        fields = [pa.field(name, kind) for name, kind in core.items() if needed.get(name, True)]
        return pa.schema([*fields, *self._extra(held)])

    def _extra(self, held: Holdings) -> Sequence[pa.Field]:
        if not self.extra:
            return []
        system = [pa.field("system", TEXT)] if self.system == "column" and held.system else []
        weight = [pa.field("weight", pa.float64())] if held.weights else []
        known = [one for one in FIELDS if one.name in held.about]
        return [pa.field("pair_id", TEXT), *system, *weight, *known]


def _answers(**before: pa.DataType) -> Columns:
    return {**before, "chosen": TEXT, "rejected": TEXT}


def _turns(picture: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([("role", TEXT), ("text", TEXT), ("images", pa.list_(picture))]))


TRL_NEXT = """from datasets import load_dataset
from trl import DPOConfig, DPOTrainer
pairs = load_dataset("{folder}", split="train")
DPOTrainer(MODEL, args=DPOConfig(max_length=None), train_dataset=pairs).train()"""
LF_NEXT = """stage: dpo
dataset_dir: {folder}
media_dir: {folder}
dataset: {name}
template: TEMPLATE_OF_YOUR_MODEL"""
EXPORTS: Mapping[str, ExportForm] = {
    "trl": ExportForm(
        what="TRL, standard: texts, for processors whose picture token is <image>", read_as="trl",
        layout=layouts.trl_texts, inside=True, earlier="none", system="none", next=TRL_NEXT,
        columns=lambda picture: {"images": pa.list_(picture), **_answers(prompt=TEXT)},
    ),
    "trl-conversational": ExportForm(
        what="TRL, conversational: messages with parts", read_as="trl", layout=layouts.trl_messages, inside=True,
        system="message", next=TRL_NEXT,
        columns=lambda picture: {"images": pa.list_(picture), "prompt": _PARTS, "chosen": _PARTS, "rejected": _PARTS},
    ),
    "llama-factory-sharegpt": ExportForm(
        what="LLaMA-Factory, sharegpt", read_as="sharegpt", layout=layouts.sharegpt, earlier="alternating",
        marks=LF_MARKS, next=LF_NEXT,
        columns=lambda picture: {
            "conversations": pa.list_(_SHAREGPT), "chosen": _SHAREGPT, "rejected": _SHAREGPT,
            "images": pa.list_(picture),
        },
    ),
    "llama-factory-alpaca": ExportForm(
        what="LLaMA-Factory, alpaca", read_as="alpaca", layout=layouts.alpaca, earlier="alternating",
        marks=LF_MARKS, next=LF_NEXT,
        columns=lambda picture: {
            **_answers(instruction=TEXT, input=TEXT), "history": pa.list_(pa.list_(TEXT)), "images": pa.list_(picture),
        },
    ),
    "ms-swift": ExportForm(
        what="ms-swift: messages and rejected_response", read_as="ms-swift", layout=layouts.swift,
        earlier="alternating", system="message", unequal=True, marks=SWIFT_MARKS,
        next="ROOT_IMAGE_DIR={quoted} swift rlhf --rlhf_type dpo --model MODEL --dataset {quoted}/train.parquet",
        columns=lambda picture: {
            "messages": _MESSAGES, "rejected_response": TEXT, "images": pa.list_(picture),
        },
    ),
    "align-anything": ExportForm(
        what="align-anything, template SPA_VL", read_as="spa-vl", layout=layouts.published, inside=True,
        pictures=(1, 1), earlier="none", system="none", unequal=True,
        next="train_datasets: {folder}\ntrain_template: SPA_VL\ntrain_split: train",
        columns=lambda picture: _answers(image=picture, question=TEXT),
    ),
    "spa-vl": ExportForm(
        what="the authors' JSON: image, question, chosen, rejected", read_as="spa-vl", layout=layouts.published,
        kind="json", pictures=(1, 1), earlier="none", system="none", extra=False,
        next="the script of SPA-VL's authors, with {folder}/train.json and {folder} as the folder of pictures",
        columns=lambda picture: _answers(image=picture, question=TEXT),
    ),
    "jsonl": ExportForm(
        what="our own columns as JSON lines", read_as="spa-vl", layout=layouts.own, kind="jsonl", unread=False,
        next="spavl align SETTINGS --pairs {quoted}",
        columns=lambda picture: {**_answers(question=TEXT), "images": pa.list_(picture), "earlier": _turns(picture)},
    ),
    "csv": ExportForm(
        what="our own columns as CSV", read_as="spa-vl", layout=layouts.flat, kind="csv", earlier="none",
        unread=False, next="spavl align SETTINGS --pairs {quoted}",
        columns=lambda picture: {**_answers(question=TEXT), "images": pa.list_(picture)},
    ),
    "parquet": ExportForm(
        what="the Hub schema of SPA-VL with all that we know of a pair", read_as="spa-vl", layout=layouts.hub,
        inside=True, unread=False, next="spavl align SETTINGS --pairs {quoted}",
        columns=lambda picture: {
            "image": picture, **_answers(question=TEXT), "images": pa.list_(picture), "earlier": _turns(picture),
        },
    ),
}  # fmt: skip
"""All forms by their names."""
LLAMA_FACTORY: Mapping[PairForm, Mapping[str, Mapping[str, str]]] = {
    "sharegpt": {"columns": {"messages": "conversations"}},
    "alpaca": {"columns": {"prompt": "instruction", "query": "input", "history": "history"}},
}
"""Columns of LLaMA-Factory's `dataset_info.json` by the form, without those that both have."""
