"""Pictures → preference pairs: the stages of the dataset, in the order they run."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from spavl.atomic import write_json
from spavl.dataset.ask import ask
from spavl.dataset.collect import Candidate, Rejected, collect, find
from spavl.dataset.export import export
from spavl.dataset.grade import grade
from spavl.dataset.judge import judge
from spavl.dataset.match import match, safety_groups, unsafe_rates
from spavl.dataset.pair import pair, swap_agreement
from spavl.dataset.respond import respond
from spavl.errors import DataError
from spavl.pipeline.session import Session
from spavl.records import ImageRecord, Judgment, Match, PreferencePair, Query, Response, Status
from spavl.run import changes
from spavl.tables import write_table
from spavl.taxonomy import load_taxonomy


def build(session: Session) -> list[PreferencePair]:
    """Build the preference dataset of a run. Returns its pairs.

    It can be run again after anything: every table is remade from the records and the call store, and only calls that
    were never made are made. A changed setting changes keys of calls, so answers of two settings are never mixed.

    Args:
        session: the settings, and the run folder that tables and dataset are written to.

    Raises:
        DataError: no picture can be used, or no match became a pair.
    """
    log_changed_settings(session)
    images = collect_stage(session)
    queries = ask_stage(session, images)
    responses = respond_stage(session, queries)
    matches = match_stage(session, responses)
    judgments = judge_stage(session, matches)
    shutil.rmtree(session.run.dataset, ignore_errors=True)  # an old dataset must not outlive the pairs it was made of
    pairs = pair_stage(session, judgments)
    with session.stage("export") as counts:
        counts.update(export(pairs, folder=session.run.folder, out=session.run.dataset))
    session.run.note(calls={"answered from the store": session.store.hits, "made": session.store.calls})
    return pairs


def log_changed_settings(session: Session) -> None:
    """Log how the settings of a run folder changed since its last run, and keep the new ones.

    Args:
        session: the settings and the run folder.
    """
    now = session.settings.model_dump(mode="json")
    before = session.run.settings_before()
    difference = changes(before, now) if before else []
    if difference:
        session.progress.log("The settings of this run folder changed; tables are remade, only missing calls are made:")
        for line in difference:
            session.progress.log(f"  {line}")
    session.run.keep_settings(now)
    session.run.note(seed=session.settings.seed)


def collect_stage(session: Session) -> list[ImageRecord]:
    """Topic → ImageRecord: the pictures that can be used; the others are named in `rejected.json`.

    Args:
        session: the settings and the run folder.

    Raises:
        DataError: no picture can be used.
    """
    with session.stage("collect") as counts:
        found = candidates(session)
        with session.progress.bar("collect pictures") as on_progress:
            images, rejected = collect(
                found,
                folder=session.run.folder,
                max_pixels=session.settings.build.collect.max_pixels,
                on_progress=on_progress,
            )
        _log_rejected(session, rejected)
        if not images:
            raise DataError("None of the pictures can be used", where=rejected[0].file, try_=rejected[0].reason)
        write_table(session.run.images, images, ImageRecord)
        counts.update(found=len(found), made=len(images), rejected=len(rejected))
    return images


def candidates(session: Session) -> list[Candidate]:
    """The pictures of the settings' source, at most `limit`, spread over the subcategories.

    Args:
        session: the settings and the run folder, into which the miniature world's pictures are drawn.

    Raises:
        DataError: the folder of pictures is missing or empty, or a picture is under no subcategory.
    """
    wanted = session.settings.build.collect
    if wanted.source == "miniworld":
        from spavl.pipeline.miniworld import make_candidates

        found = make_candidates(session.settings, session.run.folder / "world")
    else:
        found = find(wanted, load_taxonomy(Path(wanted.taxonomy) if wanted.taxonomy else None))
    return _spread(found, session.settings.limit)


def ask_stage(session: Session, images: Sequence[ImageRecord]) -> list[Query]:
    """ImageRecord → Query: the questions about every picture.

    Args:
        session: the settings, the model that asks, and the run folder.
        images: the pictures of the dataset.
    """
    settings = session.settings.build.ask
    with session.stage("ask") as counts:
        call = session.caller(settings.model, "build.ask.model", settings.sampling)
        queries = ask(images, call=call, settings=settings, folder=session.run.folder)
        write_table(session.run.queries, queries, Query)
        counts.update(_by_status(q.query_status for q in queries))
    return queries


def respond_stage(session: Session, queries: Sequence[Query]) -> list[Response]:
    """Query → Response: every responder's answers, one responder after the other, then the guard's grades.

    Args:
        session: the settings, the responders, the guard, and the run folder.
        queries: the questions; those that could not be written are not asked.
    """
    settings = session.settings.build
    responses: list[Response] = []
    for label in settings.respond.models:
        session.spec(label, "build.respond.models")
    with session.stage("respond") as counts:
        for label in settings.respond.models:
            call = session.caller(label, "build.respond.models", settings.respond.sampling)
            responses += respond(queries, call=call, responder=label, folder=session.run.folder)
        counts.update(_by_status(r.response_status for r in responses))
    with session.stage("grade") as counts:
        call = session.caller(settings.grade.model, "build.grade.model", settings.grade.sampling)
        responses = grade(responses, call=call, settings=settings.grade, folder=session.run.folder)
        write_table(session.run.responses, responses, Response)
        counts.update(_by_status(r.grade_status for r in responses))
    return responses


def match_stage(session: Session, responses: Sequence[Response]) -> list[Match]:
    """Response → Match: pairs of answers to be compared, from responders of different safety groups.

    Args:
        session: the settings and the run folder.
        responses: all graded answers.
    """
    settings = session.settings.build.match
    with session.stage("match") as counts:
        matches = match(responses, settings=settings, seed=session.settings.seed)
        write_table(session.run.matches, matches, Match)
        counts.update(made=len(matches))
        rates = unsafe_rates(responses)
        groups = safety_groups(rates, settings.groups)
        session.run.note(
            responders={name: {"unsafe_rate": rate, "group": groups[name]} for name, rate in rates.items()}
        )
    return matches


def judge_stage(session: Session, matches: Sequence[Match]) -> list[Judgment]:
    """Match → Judgment: the judge's verdict on every match, in both reading orders.

    Args:
        session: the settings, the judge, and the run folder.
        matches: the pairs of answers.
    """
    settings = session.settings.build.judge
    with session.stage("judge") as counts:
        call = session.caller(settings.model, "build.judge.model", settings.sampling)
        judgments = judge(matches, call=call, settings=settings, folder=session.run.folder)
        write_table(session.run.judgments, judgments, Judgment)
        counts.update(_by_status(j.judgment_status for j in judgments))
        counts["swap_agreement"] = swap_agreement(judgments)
    return judgments


def pair_stage(session: Session, judgments: Sequence[Judgment]) -> list[PreferencePair]:
    """Judgment → PreferencePair: the matches on which both reading orders agree, without ties.

    Args:
        session: the settings and the run folder.
        judgments: all verdicts.

    Raises:
        DataError: no match became a pair.
    """
    with session.stage("pair") as counts:
        pairs, outcomes = pair(judgments, settings=session.settings.build.pair)
        write_table(session.run.pairs, pairs, PreferencePair)
        counts.update(outcomes)
    if not pairs:
        raise DataError(
            "No match became a pair", where=f"{sum(outcomes.values())} matches: {dict(outcomes)}",
            try_="use responders that differ more, or a stronger judge",
        )  # fmt: skip
    return pairs


def _log_rejected(session: Session, rejected: Sequence[Rejected]) -> None:
    write_json(session.run.folder / "rejected.json", [asdict(r) for r in rejected])
    for r in rejected[:5]:
        session.progress.log(f"not used: {r.file}: {r.reason}")
    if len(rejected) > 5:
        session.progress.log(f"… and {len(rejected) - 5} more, all named in {session.run.folder / 'rejected.json'}")


def _spread(found: list[Candidate], limit: int | None) -> list[Candidate]:
    """The first `limit` candidates when one harmful and one benign picture of each subcategory is taken in turn."""
    if limit is None or limit >= len(found):
        return found
    turn: Counter[tuple[str, bool]] = Counter()
    order: list[tuple[int, int]] = []
    for index, candidate in enumerate(found):
        key = (candidate.topic.class3, candidate.benign)
        order.append((turn[key], index))
        turn[key] += 1
    return [found[index] for _, index in sorted(sorted(order)[:limit], key=lambda pair: pair[1])]


def _by_status(statuses: Iterable[Status]) -> dict[str, int]:
    return dict(Counter(statuses))
