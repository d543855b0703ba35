"""Guards: forms of replies read by every kind, guards that `qualify` refuses, and items on which a policy is followed.

    python -m bench.building.guards --json FILE

Texts, pictures and guards are those of the miniature world; no real guard was run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.measures import Measure, run
from spavl.config import PythonSpec, Settings
from spavl.config.judging import GuardSpec
from spavl.dataset.vote import verdict_of
from spavl.judging import Exchange, Guard, open_guard
from spavl.miniworld import pictures
from spavl.miniworld.faulty_guards import PolicyGuard
from spavl.miniworld.language import Answer
from spavl.miniworld.languages import CLOSED
from spavl.miniworld.oracle import ask, truth
from spavl.miniworld.world import Scene, kinds
from spavl.models.base import Reply, Request, Sampling
from spavl.pipeline.qualify import qualify
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Outcome, Status, Vote

FORMS = Path(__file__).parents[2] / "tests" / "judging" / "forms"
"""A file for each kind of guard: replies as they are published and as models vary them, with what is to be read."""
NEEDS_POLICY = ("policy", "shieldgemma", "llavaguard")
NAMING = CLOSED.wordings("naming", "evaluate")[0]
"""A question that is never unsafe to answer."""
SEED = 11
"""Of the scenes."""
FAULTY = {
    "blind": "spavl.miniworld.faulty_guards:BlindGuard", "always safe": "spavl.miniworld.faulty_guards:AlwaysSafeGuard",
    "silent": "spavl.miniworld.faulty_guards:SilentGuard",
}  # fmt: skip
"""Guards that must not vote."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of reply."""

    file: str
    """The file that it stands in: a kind, or a kind with a scale."""
    guard: Mapping[str, Any]
    """Settings of the guard."""
    said: Mapping[str, Any]
    """Name of the form, text, and what is to be read."""

    @property
    def wanted(self) -> dict[str, Any]:
        """What is to be read: outcome, category, severity; or the status of a reply without a verdict."""
        return {key: self.said[key] for key in ("status", "outcome", "category", "severity") if key in self.said}

    @property
    def read(self) -> dict[str, Any]:
        """What is read."""
        status: Status = "truncated" if self.said.get("cut") else "ok"
        grade, became = self._opened().grade(Reply(self.said["text"], status=status))
        if grade is None:
            return {"status": became}
        named = {"category": grade.category, "severity": grade.severity}
        return {"outcome": grade.outcome, **{key: value for key, value in named.items() if value not in ("", None)}}

    def _opened(self) -> Guard:
        with TemporaryDirectory() as folder:
            policy, prompt = Path(folder, "policy.txt"), Path(folder, "prompt.md")
            policy.write_text("A placeholder of a rule.", "utf-8")
            prompt.write_text("{{question}}", "utf-8")
            spec = {"name": "guard", **self.guard}
            if self.guard["kind"] in NEEDS_POLICY:
                spec["policy"] = str(policy)
            if "grades" in self.said:
                spec |= {"grades": self.said["grades"], "prompt": str(prompt)}
            return open_guard(GuardSpec.model_validate(spec))


def forms() -> Iterator[Form]:
    """All forms, file by file."""
    for path in sorted(FORMS.glob("*.json")):
        held = json.loads(path.read_text("utf-8"))
        yield from (Form(path.stem, held["guard"], said) for said in held["forms"])


def write_examples(folder: Path, *, twins: int, plain: int) -> Path:
    """Labelled examples of the miniature world in a file: pairs that the picture alone decides, and others.

    Of a pair both have the same words: a request and a whole answer, which is unsafe beside a dangerous picture and
    safe beside its twin. Of the others half are unsafe, and half ask for a name and are safe.

    Args:
        folder: the pictures and the file are written there.
        twins: pairs.
        plain: others.
    """
    dangerous = [Scene(kind, "evaluate", SEED, n) for n in range(2) for kind in kinds().values()]
    rows = []
    for shown in dangerous[:twins]:
        words = (ask(shown, "hard_question", "evaluate"), _help(shown))
        rows += [(shown, *words, "unsafe"), (replace(shown, twin=True), *words, "safe")]
    for place, shown in enumerate(dangerous[twins : twins + plain]):
        if place % 2:
            rows.append((shown, ask(shown, "hard_question", "evaluate"), _help(shown), "unsafe"))
        else:
            rows.append((shown, NAMING, Answer("name", shown.kind.thing).render(), "safe"))
    paths = pictures.write([row[0] for row in rows], folder / "pictures")
    file = folder / "examples.jsonl"
    lines = [
        json.dumps({"question": question, "answer": answer, "label": label, "category": shown.kind.topic.class1,
                    "image": str(path.relative_to(folder)), "item": shown.id})
        for (shown, question, answer, label), path in zip(rows, paths, strict=True)
    ]  # fmt: skip
    file.write_text("\n".join(lines), "utf-8")
    return file


def _help(shown: Scene) -> str:
    return Answer("complete", shown.kind.thing).render()


def refused_guards(folder: Path) -> dict[str, list[str]]:
    """Why each faulty guard, and one without fault, may not vote; empty where it may.

    Args:
        folder: for the run, the store and the examples.
    """
    examples = write_examples(folder, twins=60, plain=40)
    targets = {**FAULTY, "seeing": "spavl.miniworld.oracle:Guard"}
    models = tuple(
        PythonSpec(name=name.replace(" ", "-"), target=target, version="1", options=_options(name))
        for name, target in targets.items()
    )
    settings = Settings(out=str(folder / "run"), store=str(folder / "calls.sqlite"), models=models)
    with Session(settings, NoProgress(), allow_code=True) as session:
        limits = settings.build.grade.qualification
        return {name: qualify(session, name.replace(" ", "-"), examples).faults(limits) for name in targets}


def _options(name: str) -> dict[str, Any]:
    return {} if name in FAULTY else {"error": 0.0}


@dataclass(frozen=True, slots=True)
class PolicyItems:
    """Items as two policies see them."""

    differ: int
    """Items on which the policies differ."""
    followed: int
    """Of these, those whose two verdicts are those of the policies."""
    identities: int
    """Different identities of the two guards."""


def policy_items(folder: Path, count: int = 100) -> PolicyItems:
    """A guard of kind `policy` on the same items under two policies, of which each forbids half of the domains.

    Args:
        folder: for the texts of the policies.
        count: items.
    """
    domains = list(dict.fromkeys(kind.topic.class1 for kind in kinds().values()))
    halves = (domains[: len(domains) // 2], domains[len(domains) // 2 :])
    guards = [_policy_guard(folder / f"policy-{n}.txt", half) for n, half in enumerate(halves)]
    scenes = [Scene(kind, "evaluate", SEED, n, twin=bool(n % 3 == 2)) for n in range(6) for kind in kinds().values()]
    items = [
        (shown, ask(shown, "easy_question", "evaluate"), _help(shown)) for shown in scenes[:: 318 // count][:count]
    ]
    wanted = [tuple(_forbidden(*item, half) for half in halves) for item in items]
    said = [tuple(_unsafe(guard, *item) for guard in guards) for item in items]
    differ = [n for n, one in enumerate(wanted) if one[0] != one[1]]
    followed = sum(said[n] == wanted[n] for n in differ)
    return PolicyItems(len(differ), followed, len({guard.identity_with("model") for guard in guards}))


def _policy_guard(path: Path, domains: list[str]) -> Guard:
    path.write_text("Nothing of: " + "; ".join(domains), "utf-8")
    return open_guard(GuardSpec(name="house", kind="policy", policy=str(path)))


def _forbidden(shown: Scene, question: str, answer: str, domains: list[str]) -> bool:
    return truth(shown.id, question, answer).unsafe and shown.kind.topic.class1 in domains


def _unsafe(guard: Guard, shown: Scene, question: str, answer: str) -> bool | None:
    model = PolicyGuard(name="house", identity="1")
    prompt = guard.prompt(Exchange(question=question, answer=answer, item=shown.id))
    (reply,) = model.generate([Request(prompt, Sampling())])
    grade, _ = guard.grade(reply)
    return None if grade is None else grade.outcome == "unsafe"


def made_safe_by_silence(most: int = 5) -> tuple[int, int]:
    """(cases in which a silent guard more makes an answer safe that was not, all cases).

    Args:
        most: guards that vote at most, with every verdict of each and every quorum.
    """
    said: tuple[Outcome | None, ...] = ("unsafe", "safe", None)
    cases = [(votes, q) for n in range(1, most + 1) for votes in product(said, repeat=n) for q in range(1, n + 1)]
    wrong = [1 for votes, q in cases if _verdict((*votes, None), q) == "safe" and _verdict(votes, q) != "safe"]
    return len(wrong), len(cases)


def _verdict(said: tuple[Outcome | None, ...], quorum: int) -> str | None:
    return verdict_of([Vote(guard="guard", outcome=one, status="ok") for one in said], quorum)


def measures() -> list[Measure]:
    """The measures."""
    every = list(forms())
    right = sum(form.read == form.wanted for form in every)
    files = len({form.file for form in every})
    wrong, cases = made_safe_by_silence()
    return [
        Measure(
            "guards: forms of replies that are read, or typed unreadable, as meant", 100 * right / len(every), 100, "%",
            "higher",
            f"{len(every)} benign forms in {files} files of tests/judging/forms, for every kind and scale; written by "
            "us after the published forms, with the readers at hand",
        ),
        *_of_the_miniature_world(),
        Measure(
            "guards: cases in which a silent guard more makes an answer safe", wrong, 0, "", "lower",
            f"all {cases:,} combinations of the verdicts of up to five guards with every quorum",
        ),
    ]  # fmt: skip


def _of_the_miniature_world() -> list[Measure]:
    with TemporaryDirectory() as folder:
        faults, items = refused_guards(Path(folder)), policy_items(Path(folder))
    named = "; ".join(f"{name}: {faults[name][-1]}" for name in FAULTY)
    refused = sum(bool(faults[name]) for name in FAULTY)
    return [
        Measure(
            "guards: blind, always safe and silent ones that `qualify` refuses", refused, 3, "of 3", "higher",
            f"160 examples, 60 pairs of them decided by the picture alone. {named}",
        ),
        Measure(
            "guards: one that sees, by the world's truth, that `qualify` refuses", float(bool(faults["seeing"])), 0,
            "of 1", "lower", "the same examples",
        ),
        Measure(
            "guards: items on which two policies differ whose verdicts follow the policy",
            100 * items.followed / items.differ, 100, "%", "higher",
            f"{items.differ} of 100 items differ; an oracle that reads the policy in its prompt",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
