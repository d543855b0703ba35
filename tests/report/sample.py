"""Data of a full report page: invented numbers, every section present, every text harmless."""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from spavl.report import (
    AnswerShown,
    Bar,
    Curve,
    Example,
    GroupShown,
    JudgeQuality,
    MetricShown,
    ModelShown,
    ReportData,
    ResponderShown,
    StageCost,
    Step,
)
from spavl.report.data import BalanceRow, CategoryAudit, JudgePanel
from spavl.statistics import Rate, compare_paired, rate, swap_agreement
from spavl.statistics.agreement import PositionBias

METRICS = tuple(
    MetricShown(name=name, label=label, axis=axis, better=better, what=f"Share of answers that are {name}.",
                source="benchmark world · truth:1 · protocol 0123")
    for name, label, axis, better in (
        ("unsafe", "Unsafe answers", "safety", "lower"), ("unsafe_new", "Unsafe, held-out kinds", "safety", "lower"),
        ("refused", "Needless refusals", "over-refusal", "lower"),
        ("helpful", "Helpful answers", "helpfulness", "higher"),
        ("named", "Correct names", "skill", "higher"), ("yes", "Correct yes/no answers", "skill", "higher"),
    )
)  # fmt: skip
N = 480
TRUE = {
    "base": (0.472, 0.451, 0.012, 0.952, 0.967, 0.981),
    "dpo": (0.004, 0.013, 0.004, 0.955, 0.958, 0.978),
    "ppo": (0.010, 0.019, 0.008, 0.949, 0.962, 0.977),
    "blind": (0.231, 0.240, 0.262, 0.712, 0.958, 0.969),
}
DOMAINS = (
    ("Representation & Toxicity Harms", 78, 52),
    ("Misinformation Harms", 30, 20),
    ("Information & Safety Harms", 18, 12),
    ("Malicious Use", 114, 76),
    ("Human Autonomy & Integrity Harms", 30, 20),
    ("Socioeconomic Harms", 30, 20),
)


def sample(folder: Path, *, answer: str = "This is a placeholder for an unsafe answer.") -> ReportData:
    """The data of a run with DPO, PPO and a blind control."""
    outcomes = {
        model: {
            metric.name: _outcomes(share, f"{model if model != 'ppo' else 'dpo'}{metric.name}")
            for metric, share in zip(METRICS, shares, strict=True)
        }
        for model, shares in TRUE.items()
    }
    return ReportData(
        title="Safety alignment report",
        subject="A mini VLM of the miniature world, aligned on 1,140 pairs · seed 1",
        metrics=METRICS,
        models=tuple(_model(name, outcomes) for name in TRUE),
        groups=_groups(),
        funnel=_funnel(),
        composition=tuple(Bar(label=label, harmful=harmful, benign=benign) for label, harmful, benign in DOMAINS),
        responders=tuple(
            ResponderShown(name=f"responder-{n:02d}", group=n * 5 // 12, unsafe=_rate(0.04 + 0.07 * n, 1590))
            for n in range(12)
        ),
        judges=_judges(),
        panel=JudgePanel({"oracle-judge ~ second": _rate(0.9, 800)}, 0.81),
        balance=BALANCE,
        examples=_examples(folder, answer),
        curves=_curves(),
        stages=_stages(),
        facts={"seed": "1", "device": "cpu, float32", "peak memory": "2.1 GB", "run": "runs/demo"},
        versions={"spavl": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        settings="seed: 1\nmodels:\n- name: base\n  kind: local\n  path: miniworld:base\n",
        heldout=("weapon", "gamble", "medical", "theft", "racial", "malware"),
        limits=("All answers are judged by the miniature world's truth, not by a model.",),
    )


def _outcomes(share: float, salt: str) -> dict[str, bool | None]:
    wanted = round(share * N)
    order = random.Random(salt[-6:]).sample(range(N), N)
    return {str(item): place < wanted for place, item in enumerate(order)}


def _rate(share: float, n: int) -> Rate:
    true = round(share * n)
    return rate([True] * true + [False] * (n - true))


def _model(name: str, outcomes: dict[str, dict[str, dict[str, bool | None]]]) -> ModelShown:
    labels = {"base": "Base", "dpo": "DPO", "ppo": "PPO", "blind": "Blind control"}
    roles = {"base": "base", "blind": "control"}
    return ModelShown(
        name=name,
        label=labels[name],
        role=roles.get(name, "aligned"),
        what="the same DPO, its pictures blanked" if name == "blind" else "",
        rates={metric: rate(said.values()) for metric, said in outcomes[name].items()},
        paired={}
        if name == "base"
        else {
            metric.name: compare_paired(
                outcomes["base"][metric.name], outcomes[name][metric.name], better=metric.better
            )
            for metric in METRICS
        },
    )


def _groups() -> tuple[GroupShown, ...]:
    names = ("weapon", "gamble", "medical", "theft", "racial", "malware", "bully", "forge identity")
    return tuple(
        GroupShown(
            label=name,
            heldout=n < 3,
            rates={"base": _rate(0.3 + 0.05 * n, 10), "dpo": _rate(0.1 * (n == 4), 10), "ppo": _rate(0.0, 10)},
        )
        for n, name in enumerate(names)
    )


def _funnel() -> tuple[Step, ...]:
    return (
        Step(name="pictures", count=530, note="53 subcategories, 40\u202f% harmless"),
        Step(name="questions", count=1590, note="3 types"),
        Step(name="responses", count=19080, note="12 responders", losses={"truncated": 41, "failed": 3}),
        Step(name="matches", count=1588, note="of two safety groups", losses={"with one answer": 2}),
        Step(name="judgments", count=3176, note="both orders", losses={"unreadable": 12}),
        Step(name="pairs", count=1140, losses={"orders disagree": 301, "ties": 141, "unreadable": 6}),
    )


BIAS = PositionBias(value=0.183, low=0.161, high=0.204, n=1540)
BALANCE = (
    BalanceRow("pairs", (1140, 804), percent=False), BalanceRow("AUC of length alone", (0.684, 0.502), percent=False),
    BalanceRow("refusals among chosen", (0.38, None), percent=True),
)  # fmt: skip


def _judges() -> tuple[JudgeQuality, ...]:
    verdicts = [("a", "a")] * 1100 + [("a", "b")] * 300 + [("tie", "tie")] * 140 + [(None, "a")] * 12
    return (
        JudgeQuality(
            name="oracle-judge",
            what="Pairwise verdicts.",
            agreement=swap_agreement(verdicts),  # type: ignore[arg-type]
            bias=BIAS,
            unreadable=_rate(0.01, 3176),
            error=_rate(0.11, 3176),
            categories=(CategoryAudit(name="Security threats", consistent=_rate(0.8, 120), bias=BIAS),),
        ),
        JudgeQuality(name="oracle-guard", what="Safe or unsafe.", error=_rate(0.02, 19080)),
    )


def _examples(folder: Path, answer: str) -> tuple[Example, ...]:
    made = []
    for n, (topic, colour, harmful) in enumerate(
        [
            ("weapon", "#c0392b", True),
            ("weapon, harmless twin", "#27ae60", False),
            ("medical", "#8e44ad", True),
            ("gamble", "#d35400", True),
        ]
    ):
        picture = Image.new("RGB", (48, 48), "#f4ecd8")
        draw = ImageDraw.Draw(picture)
        draw.ellipse((10, 10, 38, 38), fill=colour)
        draw.rectangle((20, 4, 28, 44), fill="#2c3e50")
        path = folder / f"example-{n}.png"
        picture.save(path)
        made.append(
            Example(
                question="a placeholder question about the picture ?",
                pictures=(path,),
                topic=topic,
                harmful=harmful,
                benign=not harmful,
                heldout=topic == "medical",
                answers=(
                    AnswerShown(
                        model="Base",
                        text=answer if harmful else "This is a red cup.",
                        good=not harmful,
                        grade="unsafe" if harmful else "not refused",
                        closed=harmful,
                    ),
                    AnswerShown(
                        model="DPO",
                        text="I cannot help with this, for it shows something dangerous."
                        if harmful
                        else "This is a red cup.",
                        good=True,
                        grade="safe" if harmful else "not refused",
                    ),
                ),
            )
        )
    return tuple(made)


def _curves() -> tuple[Curve, ...]:
    steps = range(0, 260, 10)
    return (
        Curve(
            title="Loss",
            what="DPO loss and its anchor.",
            series={
                "DPO": tuple((s, 0.693 * math.exp(-s / 60) + 0.02) for s in steps),
                "anchor": tuple((s, 0.3 * math.exp(-s / 200)) for s in steps),
            },
        ),
        Curve(
            title="Reward margin",
            what="Chosen minus rejected, in units of β·log-probability.",
            series={"margin": tuple((s, 8 * (1 - math.exp(-s / 90))) for s in steps)},
        ),
        Curve(
            title="In-loop validation",
            what="A few fixed items, answered while training.",
            series={
                "unsafe": tuple((s, 0.47 * math.exp(-s / 40)) for s in range(0, 260, 50)),
                "refused needlessly": tuple(
                    (s, 0.02 + 0.1 * math.exp(-((s - 50) ** 2) / 900)) for s in range(0, 260, 50)
                ),
            },
            percent=True,
        ),
    )


def _stages() -> tuple[StageCost, ...]:
    return (
        StageCost(name="collect", seconds=2.2),
        StageCost(name="ask", seconds=4.1, calls=1590, tokens=22260),
        StageCost(name="respond", seconds=71.3, calls=18080, stored=1000, tokens=228960),
        StageCost(name="grade", seconds=5.4, calls=19080, tokens=38160),
        StageCost(name="judge", seconds=1.9, calls=3176, tokens=12704),
        StageCost(name="align", seconds=64.0),
        StageCost(name="evaluate", seconds=38.9, calls=9600, tokens=96000),
    )
