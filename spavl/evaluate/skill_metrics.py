"""Metrics that the benchmarks of skills have: right answers by our reading and by the published rule, and refusals.

Our reading is the headline, by which a refusal is never right; the rate by the published rule stands beside it, since
other people's numbers are by that one. How often a model refuses is a rate of its own, so that a skill that is lost can
be told from one that is withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spavl.evaluate.benchmark import Metric, Together
from spavl.evaluate.item import Item
from spavl.evaluate.metrics import pope_accuracy, pope_neither_rate, pope_yes_rate
from spavl.evaluate.parse import RIGHT_YES_NO
from spavl.evaluate.scorer import DECLINED, Answer, Rule, Scorer
from spavl.judging.readers.yes_no import Reading, lmms_eval_yes_no, pope_official, read_yes_no


@dataclass(frozen=True, slots=True)
class AnswerWeight:
    """How much every answer counts in a metric, by what it says; one that the service declined says nothing."""

    id: str
    """Name and version of the rule."""
    weight: Callable[[Item, str], float]
    """(item, text of the answer) → weight from 0 to 2."""

    def score(self, answers: Sequence[Answer]) -> list[float]:
        """One weight an answer, in order.

        Args:
            answers: the answers.
        """
        return [self.weight(a.item, "" if a.status in DECLINED else a.text) for a in answers]


def right_metric(name: str, scorer: Scorer, *, graded: bool = False, together: Together | None = None) -> Metric:
    """Answers that are right, by our reading.

    Args:
        name: of the benchmark in names of metrics, such as `scienceqa`.
        scorer: True where an answer is right; or its soft accuracy.
        graded: whether outcomes are soft accuracies.
        together: how the outcomes of a unit become one; None: every item counts for itself.
    """
    return Metric(
        name=f"{name}_accuracy", axis="skill", better="higher", label="Correct answers", scorer=scorer, graded=graded,
        together=together,
        what="that are right; a refusal is wrong", when_declined=0.0 if graded else False,
    )  # fmt: skip


def official_metric(ours: Metric, scorer: Scorer, rule: str) -> Metric:
    """The same rate by a published rule.

    Args:
        ours: the rate by our reading, under whose name and `_official` it goes.
        scorer: True where an answer is right by the published rule; or its soft accuracy.
        rule: the rule in words, such as "the rule of LLaVA".
    """
    return replace(
        ours, name=f"{ours.name}_official", label=f"{ours.label}, official rule", scorer=scorer,
        what=f"that are right by {rule}",
    )  # fmt: skip


def lmms_eval_metric(ours: Metric, scorer: Scorer) -> Metric:
    """The same rate by the rule of lmms-eval, where that is another than the benchmark's own.

    Args:
        ours: the rate by our reading, under whose name and `_lmms_eval` it goes.
        scorer: True where an answer is right by that rule.
    """
    return replace(
        ours, name=f"{ours.name}_lmms_eval", label=f"{ours.label}, lmms-eval's rule", scorer=scorer,
        what="that are right by the rule of lmms-eval",
    )  # fmt: skip


def refusal_metric(name: str, refuses: Scorer) -> Metric:
    """Answers to questions of skill that refuse.

    Args:
        name: of the benchmark in names of metrics.
        refuses: True where an answer is a refusal.
    """
    return Metric(
        name=f"{name}_refusal_rate", axis="skill", better="lower", label="Refusals among skill answers", scorer=refuses,
        what="to questions of skill that refuse", when_declined=True,
    )  # fmt: skip


def unread_metric(name: str, scorer: Scorer) -> Metric:
    """Answers in which no option is read: a refusal, a text without a choice, or one with several.

    Args:
        name: of the benchmark in names of metrics.
        scorer: True where no option is read.
    """
    return Metric(
        name=f"{name}_no_option_rate", axis="skill", better="lower", label="Answers that choose no option",
        scorer=scorer, what="that choose no option, or several; refusals among them", when_declined=True,
    )  # fmt: skip


def pope_metrics(splits: Sequence[str], refuses: Scorer) -> tuple[Metric, ...]:
    """POPE's metrics, with yes for the positive: over all splits, and accuracy and F1 of each where there are several.

    A refusal says neither: it lowers accuracy and recall, and is no yes. By POPE's own parser it is one.

    Args:
        splits: subsets of the items.
        refuses: True where an answer is a refusal.
    """
    accuracy = _over_all(pope_accuracy())
    overall = (
        accuracy, _f1(OURS), _precision(), _recall(),
        _over_all(pope_yes_rate()), _over_all(pope_neither_rate()), refusal_metric("pope", refuses),
    )  # fmt: skip
    legacy = (
        official_metric(accuracy, OFFICIAL_RIGHT, "POPE's own parser, which reads a refusal as yes"), _f1(OFFICIAL),
        lmms_eval_metric(accuracy, LMMS_EVAL_RIGHT), _f1(LMMS_EVAL),
    )  # fmt: skip
    of_one = [replace(m, name=f"{m.name}_{split}", label=f"{m.label}, {split}", subsets=(split,))
              for split in splits for m in overall[:2]]  # fmt: skip
    return (*overall, *legacy, *(of_one if len(splits) > 1 else ()))


@dataclass(frozen=True, slots=True)
class YesNoRule:
    """A rule that reads yes and no, as metrics call it."""

    suffix: str
    """What is added to the names of metrics by this rule."""
    words: str
    """What is added to their labels."""
    read: Callable[[str, str], Reading]
    """(text of an answer, question) → what it says."""
    leaves_out: bool = False
    """Whether F1 leaves questions out where it says neither; else that is a yes missed where yes is right."""


OURS = YesNoRule("", "", read_yes_no)
OFFICIAL = YesNoRule("_official", ", official rule", lambda text, question: pope_official(text))
LMMS_EVAL = YesNoRule(
    "_lmms_eval", ", lmms-eval's rule", lambda text, question: lmms_eval_yes_no(text), leaves_out=True
)


def _over_all(metric: Metric) -> Metric:
    return replace(metric, subsets=())


def _f1(rule: YesNoRule) -> Metric:
    """F1 as a weighted mean: 2 right yeses over all that say yes and all that should."""

    def weight(item: Item, text: str) -> float:
        said = rule.read(text, item.question) if text.strip() else "neither"
        missed = not (rule.leaves_out and said == "neither")
        return float(said == "yes") + float(item.expected == "yes" and missed)

    return Metric(
        name=f"pope_f1{rule.suffix}", axis="skill", better="higher", label=f"F1 of saying yes{rule.words}",
        scorer=Rule(f"reader:yes-no-right{rule.suffix}/3", lambda i, text: rule.read(text, i.question) == i.expected),
        weight=AnswerWeight(f"weight:yes-no-f1{rule.suffix}/1", weight), when_declined=False,
        what="that are right, as F1: the harmonic mean of precision and recall of yes",
    )  # fmt: skip


def _precision() -> Metric:
    return Metric(
        name="pope_precision", axis="skill", better="higher", label="Right among answers that say yes",
        scorer=RIGHT_YES_NO, what="among those that say yes that are right", when_declined=False,
        weight=AnswerWeight(
            "weight:yes-no-says-yes/1", lambda item, text: float(read_yes_no(text, item.question) == "yes")
        ),
    )  # fmt: skip


def _recall() -> Metric:
    return Metric(
        name="pope_recall", axis="skill", better="higher", label="Yes where yes is right", scorer=RIGHT_YES_NO,
        what="to questions whose answer is yes that say yes", when_declined=False,
        weight=AnswerWeight("weight:yes-no-expects-yes/1", lambda item, text: float(item.expected == "yes")),
    )  # fmt: skip


OFFICIAL_RIGHT = Rule("rule:pope/1", lambda item, text: pope_official(text) == item.expected)
"""Whether yes or no is right by POPE's own parser."""
LMMS_EVAL_RIGHT = Rule("rule:pope-lmms-eval/1", lambda item, text: lmms_eval_yes_no(text) == item.expected)
"""Whether yes or no is right by lmms-eval's rule."""
