r"""Loader of Anthropic-Helpful: test dialogues of HH-RLHF (Bai et al. 2022, arXiv 2204.05862), text alone.

Files: `helpful-base/test.jsonl.gz` and its like of https://github.com/anthropics/hh-rlhf, a row of `chosen` and
`rejected` each: a whole dialogue, "\n\nHuman: …\n\nAssistant: …", of which only the last answer should differ. The
repository keeps them in Git LFS, and a pointer in their place is refused. What is asked is the dialogue up to its last
question; an answer is compared with the chosen one, in both orders, by a judge.

Rows without a chosen last answer, or without a question, are left out; they and those whose two dialogues differ
earlier are counted in the benchmark's source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.config.benchmarks import AnthropicHelpfulBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, nothing_found
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import text_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.metrics import over_refusal_rate, win_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.plural import plural
from spavl.records import Turn
from spavl.rows import rows_of

SOURCE = Source(
    title="Anthropic-Helpful (HH-RLHF)", paper="arXiv 2204.05862",
    get="take helpful-base/test.jsonl.gz of https://github.com/anthropics/hh-rlhf (`git lfs pull`) or of "
    "Anthropic/hh-rlhf on the Hub", licence="MIT", commercial=True,
    counts={"helpful-base": 2_354, "helpful-online": 1_137, "helpful-rejection-sampled": 2_749}, sure="documentation",
)  # fmt: skip
"""Where it comes from; the layout was seen in its part `harmless-base`."""
FILE_NAMES = ("test.jsonl.gz", "test.jsonl")
"""What the file of a part is called."""
HUMAN, ASSISTANT = "Human", "Assistant"
_TURN = re.compile(rf"(?:\A|\n\n)({HUMAN}|{ASSISTANT}):(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue up to its last question, and the answer to that."""

    turns: tuple[Turn, ...]
    """The turns, of the person first; the last is the question. None where nothing is asked."""
    answer: str
    """The last answer; empty where there is none."""


def load_anthropic_helpful(spec: AnthropicHelpfulBenchmark, tools: BenchmarkTools) -> Benchmark:
    """Anthropic-Helpful from the files of HH-RLHF.

    Args:
        spec: the folder, the parts, and how much of a dialogue is asked.
        tools: how answers are sampled, the scorer by a judge, and that of refusals.

    Raises:
        DataError: a file is missing, a pointer, or of another schema, or the numbers are others.
        SettingsError: no judge is named.
    """
    path, odd = Path(spec.path), Counter[str]()
    if path.is_file() and len(spec.parts) != 1:
        raise DataError("One file is one part, and several are named", where=str(path), try_="name its one in `parts`")
    findings = Findings(path, tools.missing_pictures)
    items = [
        item for part in dict.fromkeys(spec.parts)
        for item in _items(_file(path, part), part, spec.turns == "first", findings, odd)
    ]  # fmt: skip
    findings.refuse_rows()
    source = replace(SOURCE, counts={part: SOURCE.counts[part] for part in spec.parts})
    check_counts(items, source, lambda item: item.subset, path, partial=spec.partial)
    usable = [item for item in items if item.question and item.notes["reference"]]
    odd["without a question or a chosen answer, left out"] = len(items) - len(usable)
    read = Read(
        items=usable, findings=findings, source=replace(SOURCE, counts={}), part=lambda item: item.subset,
        metrics=(win_rate(tools.preferred()), over_refusal_rate(tools.refuses)),
    )  # fmt: skip
    made = benchmark_of(spec, tools, read, spec.name, "{question}")
    counted = "; ".join(f"{plural(count, 'row')} {what}" for what, count in odd.items() if count)
    return replace(made, source="; ".join(filter(None, (made.source, counted))))


def _file(path: Path, part: str) -> Path:
    if path.is_file():
        return path
    found = next((path / part / name for name in FILE_NAMES if (path / part / name).is_file()), None)
    if found is None:
        raise nothing_found(path / part, SOURCE)
    return found


def _items(file: Path, part: str, first: bool, findings: Findings, odd: Counter[str]) -> Iterator[Item]:
    for place, row in enumerate(rows_of(file)):
        with findings.row(row.where):
            chosen, rejected = (_dialogue(text_of(row.values, name), first) for name in ("chosen", "rejected"))
            odd["whose two dialogues differ before the last answer"] += chosen.turns != rejected.turns
            yield _item(f"{part}/{place}", part, chosen)


def _item(item_id: str, part: str, dialogue: Dialogue) -> Item:
    *earlier, last = dialogue.turns or (Turn("user", ""),)
    return Item(
        item_id=item_id, subset=part, question=last.text, earlier=tuple(earlier), shown="none", benign=True,
        notes={"reference": dialogue.answer},
    )  # fmt: skip


def _dialogue(text: str, first: bool) -> Dialogue:
    """A dialogue as turns that alternate; what one side says in several turns is one, and empty turns are none.

    Raises:
        DataError: there is no turn in it.
    """
    parts = _TURN.split(text)
    if len(parts) < 3 or parts[0].strip():
        raise DataError('A dialogue begins with "Human: ", and its answers with "Assistant: "')
    said = [("user" if who == HUMAN else "assistant", words.strip())
            for who, words in zip(parts[1::2], parts[2::2], strict=True)]  # fmt: skip
    answered = said[-1][0] == "assistant" and bool(said[-1][1])
    turns = _alternating(said)
    if first:
        turns = turns[:2]
        answered = len(turns) > 1
    if not answered:
        return Dialogue(tuple(turns[: _questions(turns)]), "")
    return Dialogue(tuple(turns[:-1]), turns[-1].text)


def _questions(turns: list[Turn]) -> int:
    """How many turns there are up to the last question."""
    return len(turns) - (1 if turns and turns[-1].role == "assistant" else 0)


def _alternating(said: list[tuple[str, str]]) -> list[Turn]:
    turns: list[Turn] = []
    for who, words in said:
        role = "user" if who == "user" else "assistant"
        if not words or (not turns and role == "assistant"):
            continue
        if turns and turns[-1].role == role:
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n\n{words}")
        else:
            turns.append(Turn("user" if role == "user" else "assistant", words))
    return turns
