"""What is said of agreement: a verdict sentence, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator

from spavl.pipeline.agreement import AgreementReport, HumanAgreement, JudgeAgreement
from spavl.pipeline.agreement_biases import JUDGES, PEOPLE, Bias
from spavl.plural import plural
from spavl.report.agreement import AgreementShown, AgreementTable
from spavl.statistics.intervals import Rate
from spavl.statistics.reliability import Reliability

COEFFICIENTS = {"cohen": "Cohen's κ", "fleiss": "Fleiss' κ", "alpha": "Krippendorff's α"}
"""What each coefficient is called."""
LEANINGS = {"position": "the answer on the left", "length": "the longer answer", "source": "answers of",
            "domain": "agreement in", "unsafe": "calling answers unsafe"}  # fmt: skip
"""To what a rater leans, in words."""
HUMAN_HEAD = ("question", "who", "items", "the same", "coefficient", "value", "95 %", "share of every answer")
"""Columns of agreement among people."""
JUDGE_HEAD = ("pairs by", "group", "pairs", "people agree", "where they prefer one", "κ")
"""Columns of agreement with the judges."""
BIAS_HEAD = ("leans to", "who", "against", "n", "points", "p corrected", "shown")
"""Columns of tendencies."""
LEAST_P = 1e-6
"""Smallest p-value that is told by its digits."""
NO_COEFFICIENT = "undefined: one answer throughout"
"""Stands for κ or α where it is undefined."""


def agreement_sentence(report: AgreementReport) -> str:
    """The verdict: people with the judges, with each other, who leans where, and how many pairs are to be mended.

    Args:
        report: what was measured.
    """
    counted = " and ".join(
        plural(n, noun) for n, noun in ((report.pairs, "pair"), (report.answers, "answer")) if n
    ) or "nothing"  # fmt: skip
    parts = [f"{counted}, {plural(len(report.annotators), 'annotator')}: {_clauses(report)}"]
    if report.pairs:
        parts.append(_to_fix(report))
    shown = [bias_words(one) for one in report.biases if one.is_shown(report.level)]
    if report.doubtful:
        parts.append(_doubtful(report))
    tested = plural(len(report.biases), "tendency", "tendencies")
    named = f"shown: {', '.join(shown)}" if shown else "none is shown"
    parts.append(f"of {tested} tested, {named}" if report.biases else "there is too little to test any tendency")
    return "; ".join(parts) + "."


def _doubtful(report: AgreementReport) -> str:
    """What items that were drawn for being doubtful mean for the shares."""
    if report.doubtful == report.pairs + report.answers:
        return "all were drawn for being doubtful, so that no share is one of the dataset"
    return f"{report.doubtful:,} of these were drawn for being doubtful and count in no share"


def _to_fix(report: AgreementReport) -> str:
    """How many pairs most annotators judge otherwise, and how many divide them."""
    most = sum(2 * one.say_so > one.annotators for one in report.to_fix)
    divided = len(report.to_fix) - most
    return f"{plural(most, 'pair')} to fix" + (f" and {divided:,} that divide people" if divided else "")


def _clauses(report: AgreementReport) -> str:
    said = []
    if report.judges and report.judges[0].same.value is not None:
        whole = report.judges[0]
        said.append(f"people agree with the judges on {share_words(whole.same)} ({_beyond('κ', whole.kappa)})")
    if report.guards is not None and report.guards_same is not None:
        said.append(f"with the guards on {share_words(report.guards_same)} of answers ({_beyond('κ', report.guards)})")
    human = next((one for one in report.human if one.who == "all" and one.coefficient == "alpha"), None)
    if human is not None and human.found.agree is not None:
        said.append(f"with each other on {100 * human.found.agree:.0f} % ({_beyond('α', human.found)})")
    elif report.overlap == 0:
        said.append("no two annotators judged the same item, so that it is not known how far they agree")
    return ", ".join(said) or "nothing can be compared"


def _beyond(letter: str, found: Reliability) -> str:
    if found.value is None:
        return f"{letter} {NO_COEFFICIENT}"
    return f"{letter} {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def share_words(found: Rate) -> str:
    """A share with its interval, such as `87 % [84, 90]`.

    Args:
        found: the share.
    """
    if found.value is None:
        return "–"
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def bias_words(one: Bias) -> str:
    """A tendency in a few words, with its interval in points and its corrected p-value.

    Args:
        one: the tendency.
    """
    found = one.found
    way = "more" if (found.value or 0.0) > 0 else "less"
    far = f"({_points(one)} points, {p_words(one.p_corrected)})"
    if one.leaning == "domain":
        return f"people agree with the judges {way} in {one.group} than in the other domains {far}"
    leans = f"{one.who} {'lean' if one.who in (JUDGES, PEOPLE) else 'leans'}"
    return f"{leans} {way} than {one.against} to {_to(one)} {far}"


def p_words(p: float) -> str:
    """A p-value, such as `p 0.012`; of tiny ones that they are.

    Args:
        p: from 0 to 1.
    """
    return f"p {p:.2g}" if p >= LEAST_P else f"p < {LEAST_P:g}"


def _to(one: Bias) -> str:
    return f"{LEANINGS[one.leaning]} {one.group}".strip()


def _points(one: Bias) -> str:
    found = one.found
    if found.value is None:
        return "–"
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]".replace("-", "−")


def human_rows(report: AgreementReport) -> Iterator[tuple[str, ...]]:
    """Rows of agreement among people, with the columns of `HUMAN_HEAD`.

    Args:
        report: what was measured.
    """
    for one in report.human:
        found = one.found
        value = NO_COEFFICIENT if found.value is None else f"{found.value:.2f}"
        agree = "–" if found.agree is None else f"{100 * found.agree:.0f} %"
        yield (one.asked, one.who, f"{found.items:,}", agree, COEFFICIENTS[one.coefficient], value,
               f"{found.low:.2f} to {found.high:.2f}", _shares(one))  # fmt: skip


def _shares(one: HumanAgreement) -> str:
    return ", ".join(
        f"{label} {100 * share:.0f} %" for label, share in zip(one.labels, one.found.shares, strict=True) if share
    )


def judge_rows(report: AgreementReport) -> Iterator[tuple[str, ...]]:
    """Rows of agreement with the judges, with the columns of `JUDGE_HEAD`.

    Args:
        report: what was measured.
    """
    for one in report.judges:
        yield (one.by, _group(one), f"{one.pairs:,}", share_words(one.same), share_words(one.decided),
               _beyond("", one.kappa).strip())  # fmt: skip


def _group(one: JudgeAgreement) -> str:
    return "" if one.by == "all" else one.group


def bias_rows(report: AgreementReport) -> Iterator[tuple[str, ...]]:
    """Rows of tendencies, with the columns of `BIAS_HEAD`.

    Args:
        report: what was measured.
    """
    for one in report.biases:
        shown = "yes" if one.is_shown(report.level) else "no"
        yield (
            _to(one),
            one.who,
            one.against,
            f"{one.found.n:,}",
            _points(one),
            p_words(one.p_corrected).removeprefix("p "),
            shown,
        )


def agreement_shown(name: str, report: AgreementReport) -> AgreementShown:
    """A review as the report page shows it.

    Args:
        name: of the review.
        report: what was measured.
    """
    tables = (
        AgreementTable("People with the judges", JUDGE_HEAD, tuple(judge_rows(report))),
        AgreementTable("People with each other", HUMAN_HEAD, tuple(human_rows(report))),
        AgreementTable("Tendencies", BIAS_HEAD, tuple(bias_rows(report))),
    )
    return AgreementShown(name=name, verdict=agreement_sentence(report), tables=tuple(t for t in tables if t.rows))
