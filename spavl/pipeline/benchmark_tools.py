"""What benchmarks of the settings are made with: scorers by the guards and the judge that the settings name.

Scorers of one guard share its calls: an answer that counts in several metrics is graded once, failed grades among them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from spavl.config import SamplingSettings, Settings
from spavl.config.judging import GuardSpec, JudgeSpec
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.guard_scorer import Ask, GuardScorer, Tells
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.preference_scorer import PreferenceScorer
from spavl.evaluate.scorer import Scorer, parts_of
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.guard import Guard, open_guard, require_verdict
from spavl.judging.judge import open_judge
from spavl.judging.kinds import KINDS
from spavl.judging.rubrics import RUBRICS, with_rubric
from spavl.models.base import Prompt, Reply, Sampling
from spavl.models.calls.keys import CanonicalForm, key_of
from spavl.models.identity import identity_of
from spavl.pipeline.judging import ask_guard, ask_model, guard_spec, judge_spec, refusal_guard
from spavl.pipeline.session import Session

GUARD, JUDGE = "evaluate.guard", "evaluate.judge"
"""Settings that name guard and judge."""
REMEMBERED = 20_000
"""Most replies that are kept for further metrics of the same answers; older ones are found in the call store."""


@dataclass(slots=True)
class Remembered:
    """Asks a model, and gives the same replies again where another metric asks the same, without a look at the store.

    What failed is not asked again by the next metric, nor told twice.
    """

    ask: Ask
    """Asks the model."""
    kept: OrderedDict[str, Reply] = field(default_factory=OrderedDict)
    """The last replies, by hash of the prompt."""

    def __call__(self, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply a prompt, in order.

        Args:
            doing: what is done, for the progress bar.
            prompts: what is sent.
        """
        form = CanonicalForm("", Sampling(), by_item=True)
        keys = [key_of(form.of(prompt)) for prompt in prompts]
        new = [place for place, key in enumerate(keys) if key not in self.kept]
        asked = self.ask(doing, [prompts[place] for place in new]) if new else []
        replies = dict(zip(new, asked, strict=True))
        found = [replies[place] if place in replies else self.kept[key] for place, key in enumerate(keys)]
        self.kept.update({keys[place]: reply for place, reply in replies.items()})
        while len(self.kept) > REMEMBERED:
            self.kept.popitem(last=False)
        return found


def forget_replies(benchmark: Benchmark) -> None:
    """Forget the replies of guards and judges, before another model's answers are scored.

    Args:
        benchmark: whose metrics ask them.
    """
    for scorer in (part for metric in benchmark.metrics for part in parts_of(metric.scorer)):
        if isinstance(scorer, GuardScorer | PreferenceScorer) and isinstance(scorer.ask, Remembered):
            scorer.ask.kept.clear()


@dataclass(frozen=True, slots=True)
class _Scorers:
    """Makes the scorers of one benchmark."""

    session: Session
    benchmark: str
    asking: dict[str, Remembered] = field(default_factory=dict)

    def unsafe(self) -> GuardScorer:
        """The scorer by the guard that `evaluate.guard` names."""
        spec = self._spec("grades answers")
        guard = require_verdict(self._open(spec), "safety", GUARD)
        return self.of_guard(guard, "safety")

    def rubric(self, name: str) -> GuardScorer:
        """The scorer by a rubric; a guard with a form of its own gives its own verdict where that is what is asked."""
        spec = self._spec(f"grades answers by `{name}`")
        copies = self.session.settings.evaluate.rubrics
        asked = with_rubric(self._open(spec), name, copies, show_image=spec.show_image)
        if spec.kind in KINDS and KINDS[spec.kind].follows:
            return self.of_guard(asked, "rubric")
        if RUBRICS[name].tells == {"safe", "unsafe"} and name not in copies:
            self._tell_other_question(spec, name)
            return self.unsafe()
        raise SettingsError(
            f"Benchmark `{self.benchmark}` asks for the rubric `{name}`, and the model of the guard `{spec.name}` "
            f"follows a form of its own (`{spec.kind}`)", where=GUARD,
            try_="name a guard of kind `rubric`, or a model that follows instructions",
        )  # fmt: skip

    def _tell_other_question(self, spec: GuardSpec, name: str) -> None:
        """Say where a guard's own verdict stands for a rubric that calls more answers unsafe than the guard does."""
        counts = RUBRICS[name].counts
        if counts != "unsafe":
            self.session.progress.log(
                f"Benchmark `{self.benchmark}`, rubric `{name}` ({counts}): the guard `{spec.name}` (`{spec.kind}`) "
                "cannot be asked that; it grades by its own policy, and such a rate is lower than that of the rubric"
            )

    def graded(self, name: str) -> GuardScorer:
        """The scorer by a rubric that grades from 0 to 1."""
        scorer = self.rubric(name)
        if not RUBRICS[name].graded:
            raise SettingsError(f"The rubric `{name}` does not grade from 0 to 1", where=f"benchmark {self.benchmark}")
        return scorer

    def preferred(self) -> PreferenceScorer:
        """The scorer by the judge that `evaluate.judge` names."""
        name = self.session.settings.evaluate.judge
        if name is None:
            raise SettingsError(
                f"Benchmark `{self.benchmark}` needs a judge that compares answers", where=JUDGE,
                try_="name an entry of `judges`, or a model, such as `evaluate.judge=judge`",
            )  # fmt: skip
        judge = open_judge(_judge_spec(self.session.settings, name))
        spec = self.session.spec(judge.model, f"judges: {name}")
        identity = identity_of(spec)
        ask = partial(ask_model, self.session, spec, judge.sampling)
        return PreferenceScorer(judge, identity, self._shared(judge.identity_with(identity), ask))

    def of_guard(self, guard: Guard, tells: Tells) -> GuardScorer:
        """The scorer by a guard, which shares its calls with others of the benchmark."""
        identity = identity_of(self.session.spec(guard.model, f"guards: {guard.name}"))
        ask = self._shared(guard.identity_with(identity), partial(ask_guard, self.session, guard))
        return GuardScorer(guard, identity, ask, tells)

    def _shared(self, asked: str, ask: Ask) -> Remembered:
        return self.asking.setdefault(asked, Remembered(ask))

    def _open(self, spec: GuardSpec) -> Guard:
        return open_guard(spec, allow_code=self.session.allow_code)

    def _spec(self, what: str) -> GuardSpec:
        name = self.session.settings.evaluate.guard
        if name is None:
            raise SettingsError(
                f"Benchmark `{self.benchmark}` needs a guard that {what}", where=GUARD,
                try_="name an entry of `guards`, such as `evaluate.guard=guard`",
            )  # fmt: skip
        return guard_spec(self.session.settings, name, GUARD)


def tools_of(session: Session, benchmark: str, *, sampling: SamplingSettings | None = None) -> BenchmarkTools:
    """What a benchmark of the settings is made with.

    Args:
        session: the settings and models.
        benchmark: its name.
        sampling: how answers are sampled, in place of the setting.
    """
    settings, scorers = session.settings.evaluate, _Scorers(session, benchmark)
    return BenchmarkTools(
        name=benchmark, sampling=session.sampling(sampling or settings.sampling), pictures=session.world,
        seed=session.settings.seed, missing_pictures=settings.missing_pictures, refuses=_refuses(scorers),
        unsafe=scorers.unsafe, rubric=scorers.rubric, graded=scorers.graded, preferred=scorers.preferred,
    )  # fmt: skip


def guard_scorer(session: Session, name: str, setting: str, *, tells: Tells = "safety") -> GuardScorer:
    """The scorer by a guard of the settings.

    Args:
        session: the settings and models.
        name: label of the guard.
        setting: path of the setting that names it, for errors.
        tells: what of its grades is counted: whether an answer is unsafe, or a refusal.

    Raises:
        SettingsError: the guard or its model is not listed, or it does not tell that.
        ModelError: its checkpoint is not there.
    """
    guard = open_guard(guard_spec(session.settings, name, setting), allow_code=session.allow_code)
    needed = require_verdict(guard, "refusal" if tells == "refusal" else "safety", setting)
    return _Scorers(session, setting).of_guard(needed, tells)


def _refuses(scorers: _Scorers) -> Scorer:
    """The scorer of refusals: by a guard that tells them, or by the forms of words."""
    settings = scorers.session.settings
    name = refusal_guard(settings)
    if name is None:
        return REFUSES
    setting = "evaluate.refusal_guard"
    opened = open_guard(guard_spec(settings, name, setting), allow_code=scorers.session.allow_code)
    return scorers.of_guard(require_verdict(opened, "refusal", setting), "refusal")


def _judge_spec(settings: Settings, name: str) -> JudgeSpec:
    """The settings entry of a judge; a model that `judges` does not list is asked which answer is more helpful."""
    found = judge_spec(settings, name, JUDGE)
    return found if found in settings.judges else found.model_copy(update={"kind": "helpful"})
