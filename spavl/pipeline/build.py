"""Pictures → pairs: the stages of the dataset, in the order they are walked."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from spavl.build.ask import ask
from spavl.build.collect import Candidate, Rejected, collect, find
from spavl.build.export import export
from spavl.build.judge import judge
from spavl.build.match import match, safety_groups, unsafe_rates
from spavl.build.pair import pair, swap_agreement
from spavl.build.respond import grade, respond
from spavl.errors import DataError
from spavl.pipeline.workshop import Workshop
from spavl.records import ImageRecord, Judgment, Match, PreferencePair, Query, Response, Status
from spavl.run import changes, write_json
from spavl.tables import write_table
from spavl.taxonomy import load_taxonomy


def build(shop: Workshop) -> list[PreferencePair]:
    """Pictures → preference pairs. Run it again after anything: only calls that were never made are made.

    Every table is remade from the records and the call store; a changed setting changes keys, never mixes answers.
    """
    say_what_changed(shop)
    images = collect_stage(shop)
    queries = ask_stage(shop, images)
    responses = respond_stage(shop, queries)
    matches = match_stage(shop, responses)
    judgments = judge_stage(shop, matches)
    shutil.rmtree(shop.run.dataset, ignore_errors=True)  # an old dataset must not outlive the pairs it was made of
    pairs = pair_stage(shop, judgments)
    with shop.stage("export") as counts:
        counts.update(export(pairs, folder=shop.run.folder, out=shop.run.dataset))
    shop.run.note(calls={"answered from the store": shop.store.hits, "made": shop.store.calls})
    return pairs


def say_what_changed(shop: Workshop) -> None:
    """A run folder whose settings changed is no error: the difference is printed and kept."""
    now = shop.settings.model_dump(mode="json")
    before = shop.run.settings_before()
    difference = changes(before, now) if before else []
    if difference:
        shop.watch.say("The settings of this run folder changed; tables are remade, only missing calls are made:")
        for line in difference:
            shop.watch.say(f"  {line}")
    shop.run.keep_settings(now)
    shop.run.note(seed=shop.settings.seed)


def collect_stage(shop: Workshop) -> list[ImageRecord]:
    """Topic → ImageRecord."""
    with shop.stage("collect") as counts:
        found = candidates(shop)
        with shop.watch.bar("collect pictures") as progress:
            images, rejected = collect(
                found, folder=shop.run.folder, max_pixels=shop.settings.build.collect.max_pixels, progress=progress
            )
        _tell_rejected(shop, rejected)
        if not images:
            raise DataError("None of the pictures can be used", where=rejected[0].file, try_=rejected[0].reason)
        write_table(shop.run.images, images, ImageRecord)
        counts.update(found=len(found), made=len(images), rejected=len(rejected))
    return images


def candidates(shop: Workshop) -> list[Candidate]:
    """The pictures of the settings' source, at most `limit`, spread over the subcategories."""
    wanted = shop.settings.build.collect
    if wanted.source == "miniworld":
        from spavl.pipeline.world import draw_candidates

        found = draw_candidates(shop.settings, shop.run.folder / "world")
    else:
        found = find(wanted, load_taxonomy(Path(wanted.taxonomy) if wanted.taxonomy else None))
    return _spread(found, shop.settings.limit)


def ask_stage(shop: Workshop, images: Sequence[ImageRecord]) -> list[Query]:
    """ImageRecord → Query."""
    settings = shop.settings.build.ask
    with shop.stage("ask") as counts:
        call = shop.caller(settings.model, "build.ask.model", settings.sampling)
        queries = ask(images, call=call, settings=settings, folder=shop.run.folder)
        write_table(shop.run.queries, queries, Query)
        counts.update(_by_status(q.query_status for q in queries))
    return queries


def respond_stage(shop: Workshop, queries: Sequence[Query]) -> list[Response]:
    """Query → Response, one responder after the other; then the guard's grade beside every answer."""
    settings = shop.settings.build
    responses: list[Response] = []
    for label in settings.respond.models:
        shop.spec(label, "build.respond.models")
    with shop.stage("respond") as counts:
        for label in settings.respond.models:
            call = shop.caller(label, "build.respond.models", settings.respond.sampling)
            responses += respond(queries, call=call, responder=label, folder=shop.run.folder)
        counts.update(_by_status(r.response_status for r in responses))
    with shop.stage("grade") as counts:
        call = shop.caller(settings.grade.model, "build.grade.model", settings.grade.sampling)
        responses = grade(responses, call=call, settings=settings.grade, folder=shop.run.folder)
        write_table(shop.run.responses, responses, Response)
        counts.update(_by_status(r.grade_status for r in responses))
    return responses


def match_stage(shop: Workshop, responses: Sequence[Response]) -> list[Match]:
    """Response → Match."""
    settings = shop.settings.build.match
    with shop.stage("match") as counts:
        matches = match(responses, settings=settings, seed=shop.settings.seed)
        write_table(shop.run.matches, matches, Match)
        counts.update(made=len(matches))
        rates = unsafe_rates(responses)
        groups = safety_groups(rates, settings.groups)
        shop.run.note(responders={name: {"unsafe_rate": rate, "group": groups[name]} for name, rate in rates.items()})
    return matches


def judge_stage(shop: Workshop, matches: Sequence[Match]) -> list[Judgment]:
    """Match → Judgment."""
    settings = shop.settings.build.judge
    with shop.stage("judge") as counts:
        call = shop.caller(settings.model, "build.judge.model", settings.sampling)
        judgments = judge(matches, call=call, settings=settings, folder=shop.run.folder)
        write_table(shop.run.judgments, judgments, Judgment)
        counts.update(_by_status(j.judgment_status for j in judgments))
        counts["swap_agreement"] = swap_agreement(judgments)
    return judgments


def pair_stage(shop: Workshop, judgments: Sequence[Judgment]) -> list[PreferencePair]:
    """Judgment → PreferencePair."""
    with shop.stage("pair") as counts:
        pairs, fates = pair(judgments, settings=shop.settings.build.pair)
        write_table(shop.run.pairs, pairs, PreferencePair)
        counts.update(fates)
    if not pairs:
        raise DataError(
            "No match became a pair", where=f"{sum(fates.values())} matches: {dict(fates)}",
            try_="use responders that differ more, or a stronger judge",
        )  # fmt: skip
    return pairs


def _tell_rejected(shop: Workshop, rejected: Sequence[Rejected]) -> None:
    write_json(shop.run.folder / "rejected.json", [asdict(r) for r in rejected])
    for r in rejected[:5]:
        shop.watch.say(f"not used: {r.file}: {r.reason}")
    if len(rejected) > 5:
        shop.watch.say(f"… and {len(rejected) - 5} more, all named in {shop.run.folder / 'rejected.json'}")


def _spread(found: list[Candidate], limit: int | None) -> list[Candidate]:
    """The first `limit` candidates when one of each subcategory and kind is taken in turn."""
    if limit is None or limit >= len(found):
        return found
    turn: Counter[tuple[str, bool]] = Counter()
    order: list[tuple[int, int]] = []
    for place, candidate in enumerate(found):
        key = (candidate.topic.class3, candidate.benign)
        order.append((turn[key], place))
        turn[key] += 1
    return [found[place] for _, place in sorted(sorted(order)[:limit], key=lambda pair: pair[1])]


def _by_status(statuses: Iterable[Status]) -> dict[str, int]:
    return dict(Counter(statuses))
