"""Published rules: the share of answers to which ours give the verdict of the published code.

python -m bench.evaluating.official_rules --json FILE
"""

from __future__ import annotations

from bench.measures import Measure, run
from tests.judging.official_rules import RULES, answers, other_verdicts

NAMES = {
    "pope": "POPE", "pope_lmms_eval": "POPE by lmms-eval", "vqa": "VQA soft accuracy",
    "evalai": "TextVQA and VizWiz soft accuracy (EvalAI)", "science_qa": "ScienceQA option (LLaVA)",
    "science_qa_lmms_eval": "ScienceQA option (lmms-eval)", "mmbench": "MMBench option, as MMBench infers it",
    "mmbench_static": "MMBench option without a language model (lmms-eval)",
    "mmbench_circular": "MMBench circular", "mathvista": "MathVista tolerance and extraction",
    "mmmu": "MMMU option", "mmmu_lmms_eval": "MMMU option (lmms-eval)", "mmmu_open": "MMMU open questions",
    "seed_bench": "SEED-Bench first letter", "gqa": "GQA exact match",
}  # fmt: skip
"""The rules in words, by the names of their files."""


def measures() -> list[Measure]:
    """The share of identical verdicts, a rule each."""
    return [
        Measure(
            f"official rule, {NAMES[rule]}: identical verdicts", 1 - len(other_verdicts(rule)) / len(answers(rule)),
            1.0, "", "higher", f"{len(answers(rule))} benign answers of tests/judging/official/{rule}.json",
        )
        for rule in RULES
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
