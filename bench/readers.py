"""How well words are read: every reader on the corpus of answer forms, beside the rules that the benchmarks publish.

    python -m bench.readers [--xstest FOLDER] [--json FILE]

`--xstest` measures the reader of refusals on the completions that XSTest publishes with labels by people: CSV files
with `completion` and `final_label`, whose names hold that of the model. They are not part of this repository; without
them their measures hold null. A partial refusal counts as a refusal; the other two ways of counting stand in `how`.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bench import real_readings
from bench.measures import Measure, run
from spavl.config.judging import GuardSpec
from spavl.judging import open_guard
from spavl.judging.readers.mathvista import MathVistaQuestion, mathvista_right
from spavl.judging.readers.mmmu import mmmu_option
from spavl.judging.readers.numbers import read_number
from spavl.judging.readers.options import LETTERS, read_option, vlmevalkit_option
from spavl.judging.readers.outcomes import Grade, llama_guard_official
from spavl.judging.readers.refusal import advbench_keywords, refuses, xstest_string_match
from spavl.judging.readers.short_answer import right_answer
from spavl.judging.readers.verdicts import mt_bench_verdict, read_verdict
from spavl.judging.readers.vqa import vqa_normalised
from spavl.judging.readers.yes_no import lmms_eval_yes_no, pope_official, read_yes_no, vlmevalkit_yes_no
from spavl.models.base import Reply
from spavl.statistics.agreement import cohen_kappa

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "judging" / "corpus"
"""Forms of answers with their right readings, all our own."""
FLOORS = {"gpt4": 0.90, "llama2new": 0.85, "llama2orig": 0.80, "mistralguard": 0.70, "mistralinstruct": 0.50}
"""Least kappa against people by model of XSTest, whose name stands in the name of its file."""
EMPTY = ("", " ", "\n", "\t\n ", "...", '""', "**", "<|eot_id|>", "</s>", "\u200b")
"""Texts without a word."""
Row = dict[str, Any]
Partial = Literal["refusal", "compliance", "left out"]


def corpus(name: str) -> list[Row]:
    """The rows of a file of the corpus.

    Args:
        name: of the file, without its suffix.
    """
    return [json.loads(line) for line in (CORPUS / f"{name}.jsonl").read_text("utf-8").split("\n") if line]


def graded(row: Row) -> str | None:
    """What a guard of the row's kind reads in it, as the corpus writes it; `cut`: the reply was cut off.

    Args:
        row: of the corpus of guards' replies.
    """
    guard = open_guard(GuardSpec(name="guard", kind=row["kind"]))
    found, _ = guard.grade(Reply(row["text"], status="truncated" if row.get("cut") else "ok"))
    return None if found is None else _outcome(found, row["kind"])


def _outcome(found: Grade, kind: str) -> str | None:
    if kind == "graded":
        return str(found.severity)
    return found.outcome or "compliance"


def _number(row: Row) -> str | None:
    found = read_number(row["text"], row.get("question", ""))
    return None if found is None else format(found.normalize(), "f").replace("-0", "0" if found == 0 else "-0")


def _mathvista(row: Row) -> str | None:
    """The right number where MathVista's rule takes the answer for it, both with two decimals."""
    if not row["right"]:
        return None
    asked = MathVistaQuestion(answer=str(round(float(row["right"]), 2)), type="float", precision=2)
    return row["right"] if mathvista_right(row["text"], asked) else None


def _options(row: Row) -> dict[str, str]:
    """The options by letter; text that no answer holds where only the letters are known."""
    return row.get("options") or dict.fromkeys(row.get("letters", LETTERS), "\0")


def _option(rule: Callable[..., str | None], row: Row) -> str | None:
    return rule(row["text"], row.get("letters", LETTERS), row.get("options"))


READERS: dict[str, tuple[str, dict[str, Callable[[Row], Any]]]] = {
    "yes_no": ("yes/no", {
        "": lambda row: read_yes_no(row["text"], row.get("question", "")),
        "POPE's rule": lambda row: pope_official(row["text"]),
        "lmms-eval's rule": lambda row: lmms_eval_yes_no(row["text"]),
        "VLMEvalKit's rule": lambda row: vlmevalkit_yes_no(row["text"]),
    }),
    "options": ("options", {
        "": partial(_option, read_option), "MMMU's rule": lambda row: mmmu_option(row["text"], _options(row)),
        "VLMEvalKit's rule": partial(_option, vlmevalkit_option),
    }),
    "numbers": ("numbers", {
        "": _number,
        "MathVista's rule": _mathvista,
    }),
    "short_answers": ("short answers", {
        "": lambda row: right_answer(row["text"], row["expected"], question=row.get("question", "")),
        "VQA's rule": lambda row: vqa_normalised(row["text"]) == vqa_normalised(row["expected"]),
    }),
    "verdicts": ("judges' verdicts", {
        "": lambda row: read_verdict(row["text"], "ab"),
        "MT-Bench's rule": lambda row: mt_bench_verdict(row["text"], "ab"),
    }),
    "outcomes": ("guards' outcomes", {"": graded, "Llama Guard's rule": lambda row: llama_guard_official(row["text"])}),
}  # fmt: skip
"""Readers by file of the corpus: what is read, and each rule by its name, ours without one."""
MATCHERS = {"": refuses, "XSTest's form of matcher": xstest_string_match, "AdvBench's keywords": advbench_keywords}
"""Readers of refusals, ours without a name."""


def measures(xstest: Path | None) -> list[Measure]:
    """All measures.

    Args:
        xstest: folder of XSTest's completions; None: they are not there.
    """
    found = [row for name in READERS for row in _accuracies(name)]
    return [*found, _from_nothing(), *_on_corpus(), *real_readings.measures(), *on_xstest(xstest)]


def _accuracies(name: str) -> list[Measure]:
    what, rules = READERS[name]
    rows = corpus(name)
    return [
        Measure(
            f"{what}: forms read rightly" + (f", by {rule}" if rule else ""),
            100 * sum(read(row) == row["right"] for row in rows) / len(rows), None if rule else 100.0, "%", "higher",
            f"{len(rows)} forms of tests/judging/corpus/{name}.jsonl",
        )
        for rule, read in rules.items()
    ]  # fmt: skip


def read_from_nothing() -> list[str]:
    """What readers read in texts without a word: reader and text of each."""
    readers: dict[str, Callable[[str], bool]] = {
        "yes/no": lambda text: read_yes_no(text) != "neither", "options": lambda text: read_option(text) is not None,
        "numbers": lambda text: read_number(text) is not None, "refusal": refuses,
        "verdicts": lambda text: read_verdict(text, "ab") is not None,
        "short answers": lambda text: any(right_answer(text, one) for one in ("A", "a", "the", "0", "", "cup")),
        **{kind: lambda text, kind=kind: graded({"kind": kind, "text": text}) is not None  # type: ignore[misc]
           for kind in ("rubric", "refusal", "graded", "md-judge")},
    }  # fmt: skip
    return [f"{name}: {text!r}" for name, reads in readers.items() for text in EMPTY if reads(text)]


def _from_nothing() -> Measure:
    found = read_from_nothing()
    how = f"all readers on {len(EMPTY)} texts without a word"
    return Measure("readings of an empty text", len(found), 0, "", "lower", how)


def _on_corpus() -> list[Measure]:
    rows = corpus("refusals")
    found = []
    for half in ("development", "heldout"):
        chosen = [row for row in rows if row["half"] == half]
        right = [row["label"] != "compliance" for row in chosen]
        for name, rule in MATCHERS.items():
            kappa = cohen_kappa([rule(row["text"]) for row in chosen], right)
            found.append(Measure(
                f"refusals, {half} half: kappa" + (f", by {name}" if name else ""), kappa, None, "", "higher",
                f"{len(chosen)} answers of our own in the manners of five models; a partial refusal is a refusal",
            ))  # fmt: skip
    return found


def on_xstest(folder: Path | None) -> list[Measure]:
    """Kappa with people on XSTest's completions, by model: our reader's, and beside it the string matcher's.

    Args:
        folder: of the CSV files; None: they are not there.
    """
    return [measure for model, floor in FLOORS.items() for measure in _model(model, floor, folder)]


def _model(model: str, floor: float, folder: Path | None) -> list[Measure]:
    file = _file_of(model, folder) if folder else None
    name = f"refusals of {model} (XSTest): kappa with people"
    if file is None:
        how = f"no file of {model} with completion and final_label; python -m bench.readers --xstest FOLDER"
        return [Measure(name, None, floor, "", "higher", how)]
    rows = labelled(file)
    ours = {how: kappa_with_people(rows, refuses, how) for how in ("refusal", "compliance", "left out")}
    how = (
        f"{len(rows)} labelled completions of {file.name}, {sum(label == 3 for _, label in rows)} of them partial "
        f"refusals, counted as refusals; as compliance {_shown(ours['compliance'])}, left out "
        f"{_shown(ours['left out'])}"
    )
    matcher = kappa_with_people(rows, xstest_string_match, "refusal")
    return [
        Measure(name, ours["refusal"], floor, "", "higher", how),
        Measure(f"{name}, by XSTest's form of matcher", matcher, None, "", "higher", "the same completions"),
    ]


def kappa_with_people(
    rows: Sequence[tuple[str, int]], rule: Callable[[str], bool], partial_is: Partial
) -> float | None:
    """Cohen's kappa of a rule with people's labels.

    Args:
        rows: completion and label of each: 1 full compliance, 2 full refusal, 3 partial refusal.
        rule: whether a text is a refusal.
        partial_is: what a partial refusal counts as.
    """
    counted = [(text, label) for text, label in rows if label != 3 or partial_is != "left out"]
    refused = [label == 2 or (label == 3 and partial_is == "refusal") for _, label in counted]
    return cohen_kappa([rule(text) for text, _ in counted], refused)


def labelled(file: Path) -> list[tuple[str, int]]:
    """Completion and label of every row of a file that has a label.

    Args:
        file: CSV with `completion` and `final_label` (1_full_compliance, 2_full_refusal, 3_partial_refusal).
    """
    found = []
    for row in _rows(file):
        label = re.match(r"\s*([123])", row.get("final_label") or "")
        if label:
            found.append((row.get("completion") or "", int(label.group(1))))
    return found


def _file_of(model: str, folder: Path) -> Path | None:
    """The file of a model's labelled completions; of several the one that has the labels of single people too."""
    named = [path for path in sorted(folder.rglob("*.csv")) if model in re.sub(r"[^a-z0-9]", "", path.name.lower())]
    fitting = [path for path in named if {"completion", "final_label"} <= _columns(path)]
    return next((path for path in fitting if "annotation_1" in _columns(path)), fitting[0] if fitting else None)


def _columns(file: Path) -> set[str]:
    return set(next(iter(_rows(file)), {}))


def _rows(file: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        return list(csv.DictReader(line.replace("\0", "") for line in lines))


def _shown(kappa: float | None) -> str:
    return "undefined" if kappa is None else f"{kappa:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--xstest", type=Path, metavar="FOLDER")
    options, others = parser.parse_known_args(arguments)
    if options.xstest is not None and not options.xstest.is_dir():
        sys.exit(f"--xstest: there is no folder {options.xstest}")
    run(lambda: measures(options.xstest), others)


if __name__ == "__main__":
    main()
