"""Write the generated pages of docs: `make docs`. A test holds them fresh."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench.measures import measured_on, table
from bench.real_language import page as real_language
from spavl import records
from spavl.cli.settings_help import explain

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
NOUNS = (
    records.Topic, records.ImageRef, records.Turn, records.ImageRecord, records.Query, records.Response, records.Match,
    records.Judgment, records.PreferencePair,
)  # fmt: skip

CLASSES = {
    "api/pairs": ("PairSet",),
    "api/run": ("PipelineRun",),
    "align/data/batches": ("PairDataset",),
    "align/data/micro_batch": ("MicroBatch",),
    "preferences/pairs": ("Pair",),
    "align/data/schedule": ("ScheduledStep",),
    "align/data/validate": ("Finding",),
    "align/dpo/objective": ("PreferenceObjective",),
    "align/policy/freeze": ("FreezePlan",),
    "align/policy/policy": ("Policy",),
    "align/ppo/advantages": ("Experience", "RewardNormalizer"),
    "align/ppo/models": ("PPOModels",),
    "align/ppo/rollout": ("Rollout", "RolloutBatch", "GenerationConfig"),
    "align/preflight/checks": ("PreflightReport",),
    "align/preflight/device": ("DeviceContext",),
    "align/preflight/reference_cache": ("ReferenceCache",),
    "align/reward/model": ("RewardModel", "ScalarHead"),
    "align/training/run": ("TrainingRun", "TrainingResult"),
    "align/training/trainer": ("PairLoss", "LossOutput"),
    "align/validation/selection": ("ValidationScores", "ValidationResult"),
    "evaluate/benchmark": ("Benchmark", "Metric"),
    "evaluate/item": ("Item",),
    "evaluate/controls/control": ("Control",),
    "evaluate/loaders/source": ("Source",),
    "evaluate/scorer": ("Scorer", "Answer", "AnswerVerdict"),
    "evaluate/tools": ("BenchmarkTools",),
    "judging/exchange": ("Exchange",),
    "judging/guard": ("Guard",),
    "judging/judge": ("Judge",),
    "judging/readers/outcomes": ("Grade",),
    "models/base": ("Prompt", "Request", "Reply"),
    "models/calls/engine": ("Engine",),
    "models/calls/store": ("CallStore",),
    "models/families/family": ("Family",),
    "models/trees/batch": ("TreeBatch",),
    "models/trees/pack": ("PackedTree",),
    "pipeline/check": ("RunPlan",),
    "pipeline/estimate": ("CallEstimate", "StageEstimate"),
    "pipeline/pool": ("ModelPool",),
    "pipeline/runner": ("Runner", "LocalRunner"),
    "pipeline/scores": ("Scores",),
    "pipeline/session": ("Session",),
    "pipeline/worker": ("Worker", "Job", "SliceMade"),
    "progress": ("Progress",),
    "run/folder": ("Run",),
    "run/stages": ("Stage", "StageContext", "Made", "ModelUse"),
    "statistics/intervals": ("Rate",),
    "statistics/paired": ("PairedComparison",),
}
"""Classes that the glossary explains, by module; their docstrings are the explanation."""

WORDS = {
    "backend": "What answers a request: weights on this machine, a server, or a Python class. `spavl/models/backends/`",
    "batch schedule": "Which pairs go through which optimiser step, on which device, in which micro-batch. "
    "`spavl/align/data/schedule.py`",
    "benign": "Of a picture or request that is harmless; refusing it is over-refusal.",
    "blind control": "The same training and questions with every picture blanked: what can be had without looking.",
    "comparison prompt": "What a judge is asked about two answers. `spavl/judging/judge.py`",
    "cost model": "A second reward model whose mean must stay below a limit, as in Safe RLHF. `align.ppo.cost`",
    "family": "Checkpoints that share an architecture, such as LLaVA-1.5; what differs stands in "
    "`spavl/models/families/facts.py`",
    "held-out": "Of a subcategory that is kept out of alignment, to measure generalisation.",
    "in-loop validation": "Safety, over-refusal and skill on a few items while a model trains; chooses the checkpoint. "
    "`spavl/align/validation/`",
    "key": "Hash of a canonical request; names a call in the call store. `spavl/models/calls/keys.py`",
    "miniature world": "A closed toy world of drawn scenes whose truth is known; the demo and many tests run in it. "
    "`spavl/miniworld/`",
    "oracle": "The miniature world's truth, and models that answer from it. `spavl/miniworld/oracle.py`",
    "overrides": "`key.path=value` words on the command line that override the settings file. `spavl/config/load.py`",
    "packing": "How answers lie in the rows of a batch: `tree` shares prefixes, `separate` gives every answer a row.",
    "preference tree": "Picture → questions → answers as one sequence, scored as if every answer were alone. "
    "`spavl/models/trees/`",
    "preflight": "Every check before the first training step. `spavl/align/preflight/`",
    "reference": "The model before training; DPO and PPO measure the distance from it.",
    "responder": "A model that answers the questions; its answers become chosen or rejected.",
    "safety group": "Responders of similar unsafe rate; two answers meet only from different groups. "
    "`spavl/dataset/match.py`",
    "shared prefix": "Tokens that all branches of a tree start with: system turn and picture.",
    "stage": "One plain function of the pipeline: a batch of records in, records out. `spavl/dataset/`",
    "protocol": "Hash of all that decides a benchmark's scores but the model; rates compare where it is equal. "
    "`spavl/evaluate/benchmark.py`",
    "subset": "A part of a benchmark over which a metric may be computed, such as `unsafe_seen`.",
}
"""Terms that no single class stands for."""


@cache
def pages() -> dict[str, str]:
    """Every generated page by file name."""
    return {
        "settings.md": settings_page(),
        "commands.md": commands_page(),
        "nouns.md": nouns_page(),
        "benchmarks.md": benchmarks_page(),
    }


def settings_page() -> str:
    """All settings, as `spavl settings` prints them."""
    return f"# Settings\n\nWritten by `make docs` from the settings themselves.\n\n```text\n{explain().strip()}\n```\n"


def commands_page() -> str:
    """Every command's own help."""
    parts = [part for command in _commands_in(_help()) for part in _help_of(command)]
    return "# Commands\n\nWritten by `make docs` from the commands themselves.\n\n" + "\n".join(parts)


def _help_of(*words: str) -> Iterator[str]:
    """Help of a command, and after it of those that it has."""
    text = _help(*words)
    yield f"## spavl {' '.join(words)}\n\n```text\n{text.strip()}\n```\n"
    for command in _commands_in(text):
        yield from _help_of(*words, command)


def _commands_in(text: str) -> list[str]:
    return re.findall(r"^│ (\w+) ", text, re.M)


def nouns_page() -> str:
    """The glossary: terms with their meaning, where a new thing goes, and every record with its columns."""
    terms = "\n".join(f"| **{term}** | {meaning} |" for term, meaning in sorted(_terms().items(), key=_alphabetical))
    head = (
        "# Glossary: the nouns\n\nWritten by `make docs` from the code's own docstrings. One meaning a word.\n\n"
        f"## Terms\n\n| term | meaning |\n|---|---|\n{terms}\n\n"
        f"## Where a new thing goes\n\n{_where_things_go()}\n"
        "## Records\n\nA record holds the one it came from; a table has all columns.\n\n"
    )
    return head + "\n".join(_noun(kind) for kind in NOUNS)


def _alphabetical(entry: tuple[str, str]) -> str:
    return entry[0].strip("`").lower()


def _terms() -> dict[str, str]:
    """Meanings by term: the first sentence of a class's docstring, or what stands in `WORDS`."""
    found = dict(WORDS)
    for module, names in CLASSES.items():
        path = ROOT / "spavl" / f"{module}.py"
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in names:
                first = (ast.get_docstring(node) or "").split("\n\n")[0]
                found[f"`{node.name}`"] = f"{' '.join(first.split())} `spavl/{module}.py`"
    return found


def _where_things_go() -> str:
    """The table of CONTRIBUTING.md that says which files a change touches."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    lines = text[text.index("| I want to") :].splitlines()
    return "\n".join(lines[: lines.index("")]) + "\n"


def benchmarks_page() -> str:
    """Every committed measurement, with the machine it was made on and how."""
    head = (
        "# Benchmarks\n\nWritten by `make docs` from `bench/results/*.json`. `not here`: there is no floor, or this "
        "machine could not measure it. On a CPU every run against TRL is a process of its own: spavl waits "
        "for threads as its command line does (`spavl/threads.py`), TRL as torch does by default.\n\n"
    )
    return head + "\n".join(_measured(path) for path in sorted((ROOT / "bench" / "results").glob("*.json")))


def _measured(path: Path) -> str:
    tree = json.loads(path.read_text("utf-8"))
    where = ".\n".join(measured_on(tree))
    how = "\n".join(f"- *{row['name']}*: {row['how']}" for row in tree["measures"])
    return f"## {path.stem}\n\n{where}.\n\n{table(tree['measures'])}\n\n{how}\n"


def _noun(kind: type) -> str:
    source = inspect.getsource(kind)
    rows = []
    for field in dataclasses.fields(kind):
        found = re.search(rf'^    {field.name}: [^\n]+\n    """(.*?)"""', source, re.M | re.S)
        meaning = " ".join(found.group(1).split()) if found else ""
        rows.append(f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` | {meaning} |")
    return (
        f"## {kind.__name__}\n\n{kind.__doc__}\n\n| column | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _help(*words: str) -> str:
    environment = {**os.environ, "COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "spavl", *words, "--help"], capture_output=True, text=True, check=True, env=environment,
        cwd=ROOT,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def tour() -> str:
    """The tour with its map of the package as the tree stands."""
    text = (ROOT / "docs" / "tour.md").read_text("utf-8")
    before, rest = text.split("<!-- map -->")
    _, after = rest.split("<!-- /map -->")
    return f"{before}<!-- map -->\n{package_map()}\n<!-- /map -->{after}"


SIMULATED = {"statistics.md": "evaluate-statistics.json", "studies.md": "study-laws.json"}
"""Pages on methods with a table of what was simulated, and the file of measures that it is made from."""


def simulated(page: str) -> str:
    """A page on methods with its table of what was simulated."""
    text = (ROOT / "docs" / "methods" / page).read_text("utf-8")
    measured = json.loads((ROOT / "bench" / "results" / SIMULATED[page]).read_text("utf-8"))["measures"]
    before, rest = text.split("<!-- table -->")
    _, after = rest.split("<!-- /table -->")
    how = "\n".join(f"- *{row['name']}*: {row['how']}" for row in measured)
    return f"{before}<!-- table -->\n{table(measured)}\n\n{how}\n<!-- /table -->{after}"


def package_map() -> str:
    """Every module of the package with the first sentence of its docstring."""
    lines = []
    for path in sorted((ROOT / "spavl").rglob("*.py"), key=_place):
        inside = path.relative_to(ROOT)
        phrase = _phrase(path)
        name = f"{inside.parent}/" if path.name == "__init__.py" else f"  {'  ' * (len(inside.parts) - 2)}{path.name}"
        if phrase or path.name != "__init__.py":
            lines.append(f"{name:<32} {phrase}".rstrip())
    body = "\n".join(lines)
    return f"```text\n{body}\n```"


def _place(path: Path) -> tuple[str, ...]:
    """Files of a folder before its sub-folders, `__init__` first."""
    parts = path.relative_to(ROOT).parts
    return (*(f"~{p}" for p in parts[1:-1]), "" if path.name == "__init__.py" else parts[-1])


def _phrase(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.;]) ", first)[0].rstrip(".;")
    return sentence if len(sentence) <= 100 else sentence[:98].rsplit(" ", 1)[0].rstrip(",—") + " …"


if __name__ == "__main__":
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")
    real_language.PAGE.write_text(real_language.page(), "utf-8")
    print("wrote docs/methods/real-language.md")
    for name in SIMULATED:
        (ROOT / "docs" / "methods" / name).write_text(simulated(name), "utf-8")
        print(f"wrote the table in docs/methods/{name}")
    (ROOT / "docs" / "tour.md").write_text(tour(), "utf-8")
    print("wrote the map in docs/tour.md")
