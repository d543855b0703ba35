"""What is noted and shown of judges and pairs: position bias, agreement, and what else tells chosen from rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import spavl
from spavl.audit.judge_tables import audit, counts_of, swap_agreement, unreadable_judges
from spavl.dataset.shortcuts import short_of, shortcuts
from spavl.pipeline.session import Session
from spavl.pipeline.walk import fingerprint_of
from spavl.plural import plural
from spavl.records import Judgment, PreferencePair
from spavl.report.data import BalanceRow, CategoryAudit, JudgePanel, JudgeQuality
from spavl.run import Run, Stage
from spavl.statistics.agreement import PositionBias, swap_agreement_of
from spavl.statistics.intervals import Rate, rate_of
from spavl.tables import read_footer

MOST_NAMED = 5
"""Most subcategories that a log line names."""
Shown = Callable[[Mapping[str, Any]], float | None]


def note_judges(session: Session, stages: Sequence[Stage]) -> None:
    """Note the audit of the judges in `run.json`, unless it is that of these verdicts, and warn of unreadable ones.

    Args:
        session: the settings and the run folder.
        stages: those whose tables are there.
    """
    judging = [stage for stage in stages if stage.writes is Judgment]
    if not judging:
        session.run.replace(judges={}, judges_agree={}, judges_from=None, swap_agreement=None)
        return
    tables = judging[-1].tables(session.run.folder, session.settings)
    made_from = _content(tables)
    if session.run.manifest().get("judges_from") != made_from:
        names = [path.relative_to(session.run.folder).as_posix() for path in tables]
        found = audit(tables, names)
        session.run.replace(
            judges=found["judges"], judges_agree=found["agreement"], judges_from=made_from,
            swap_agreement=swap_agreement(found["judges"]),
        )  # fmt: skip
    for line in unreadable_judges(session.run.manifest()["judges"]):
        session.progress.log(f"warning: {line}")


def note_balance(session: Session, stages: Sequence[Stage]) -> None:
    """Note in `run.json` what tells chosen from rejected, before and after balance, unless it is of these pairs.

    Args:
        session: the settings and the run folder.
        stages: of the dataset, all made.
    """
    settings, run = session.settings, session.run
    writing = [stage for stage in stages if stage.writes is PreferencePair]
    tables = [stage.tables(run.folder, settings)[0] for stage in writing]
    wanted = settings.build.balance.per_subcategory
    made_from = fingerprint_of([_content([run.images, *tables]), wanted])
    if run.manifest().get("pairs_from") != made_from:
        measured = {stage.name: shortcuts(table) for stage, table in zip(writing, tables, strict=True)}
        last = measured[writing[-1].name]["subcategories"]
        short = short_of(wanted, run.images, last) if wanted is not None else {}
        run.replace(pairs_balance=measured, short_subcategories=short, pairs_from=made_from)
    if settings.build.pair.prefer_safe_completion and not _tells_refusals(run.manifest()["pairs_balance"]):
        session.progress.log(
            "warning: `prefer_safe_completion` did nothing, for no guard told refusals from safe completions; name one "
            "of kind `outcome`"
        )
    if short := run.manifest()["short_subcategories"]:
        named = ", ".join(f"{name} {count}" for name, count in list(short.items())[:MOST_NAMED])
        more = f" and {len(short) - MOST_NAMED} more" if len(short) > MOST_NAMED else ""
        of = plural(len(short), "subcategory", "subcategories")
        session.progress.log(f"fewer than {wanted} pairs of {of}: {named}{more}")


def forget_pairs(session: Session) -> None:
    """Drop from `run.json` what was noted of pairs and guards by an earlier build, where this one made no pair.

    Args:
        session: the settings and the run folder.
    """
    session.run.replace(
        pairs_balance={}, short_subcategories={}, pairs_from=None, guard_agreement=[], unsafe_requests=[]
    )  # fmt: skip


def warn_of_unmatched(session: Session) -> None:
    """Warn of responders that take part in no match, for no guard told how safe they are.

    Args:
        session: the settings and the run folder.
    """
    graded = session.run.manifest().get("responders", {})
    for name in session.settings.build.respond.responders:
        if name not in graded:
            session.progress.log(
                f"warning: `{name}` takes part in no match, for none of its answers to questions that ask for harm has "
                "a readable grade"
            )


def _tells_refusals(measured: Mapping[str, Any]) -> bool:
    """Whether the guard told of any answer that it refuses, completes safely, or does not help."""
    return any(of["chosen_refusal"] is not None for of in measured.values())


def _content(tables: Sequence[Path]) -> str:
    """Hash of the rows of some tables."""
    return fingerprint_of([spavl.__version__, *((read_footer(path) or {}).get("content") for path in tables)])


def judges(run: Run, error: Mapping[str, int] | None) -> tuple[JudgeQuality, ...]:
    """Every judge's agreement with itself over both reading orders, and its position bias.

    Args:
        run: the run folder.
        error: how many verdicts were `wrong` of how many `asked`, where the truth is known.
    """
    tables = run.judgment_tables
    found = audit(tables)["judges"] if tables else {}
    return tuple(
        JudgeQuality(
            name=name, what="which of two answers is better", agreement=swap_agreement_of(counts_of(of["verdicts"])),
            bias=PositionBias(**of["position_bias"]),
            unreadable=rate_of(of["unreadable"], of["replies"]) if of["replies"] else None,
            error=rate_of(error["wrong"], error["asked"]) if error else None, categories=tuple(_categories(of)),
        )
        for name, of in found.items()
    )  # fmt: skip


def _categories(judge: Mapping[str, Any]) -> Iterator[CategoryAudit]:
    for name, figures in judge["categories"].items():
        yield CategoryAudit(
            name=name, consistent=Rate(**figures["consistent"]), bias=PositionBias(**figures["position_bias"])
        )


def judge_panel(manifest: Mapping[str, Any]) -> JudgePanel | None:
    """How far several judges agree; None where there is one.

    Args:
        manifest: `run.json`.
    """
    found = manifest.get("judges_agree")
    if not found:
        return None
    return JudgePanel(same={name: Rate(**rate) for name, rate in found["same"].items()}, alpha=found["alpha"])


ROWS: tuple[tuple[str, Shown, bool], ...] = (
    ("pairs", lambda of: of["pairs"], False),
    ("chosen answer is the longer one", lambda of: of["chosen_longer"], True),
    ("AUC of length alone", lambda of: of["length_auc"], False),
    ("AUC of the responder alone", lambda of: of["source_auc"], False),
    ("refusals among chosen", lambda of: of["chosen_refusal"], True),
    ("refusals among rejected", lambda of: of["rejected_refusal"], True),
    ("unsafe among chosen", lambda of: of["chosen_unsafe"], True),
    ("unsafe among rejected", lambda of: of["rejected_unsafe"], True),
    ("largest share of chosen by one responder", lambda of: (of["largest_source"]["chosen"] or {}).get("share"), True),
    ("largest share of rejected by one", lambda of: (of["largest_source"]["rejected"] or {}).get("share"), True),
    ("subcategories", lambda of: len(of["subcategories"]), False),
    ("pairs of the largest subcategory", lambda of: max(of["subcategories"].values(), default=0), False),
    ("pairs of the smallest one", lambda of: min(of["subcategories"].values(), default=0), False),
)
"""(label, what is shown, whether it is a share) of the table of balance."""


def balance_rows(manifest: Mapping[str, Any]) -> tuple[BalanceRow, ...]:
    """The table of balance: a row of values for each figure, a value for each stage that makes pairs.

    Args:
        manifest: `run.json`.
    """
    measured = list(manifest.get("pairs_balance", {}).values())
    rows = (BalanceRow(label, tuple(shown(of) for of in measured), percent) for label, shown, percent in ROWS)
    return tuple(row for row in rows if any(value is not None for value in row.values)) if measured else ()
