"""Models and functions of the stages that describe pictures, write questions and have them answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from spavl.config import SamplingSettings, Settings
from spavl.dataset.ask import ask, ask_templates
from spavl.dataset.describe import describe, describe_template
from spavl.dataset.near_duplicates import find_near_duplicates, mark_near_duplicates
from spavl.dataset.respond import respond, system_text
from spavl.plural import plural
from spavl.records import ImageRecord, Query, QuestionType, Response
from spavl.run import Made, ModelUse, StageContext
from spavl.taxonomy import Taxonomy, load_taxonomy

NEAR_DUPLICATES = "parts/near-duplicates.parquet"
"""Table of near-duplicates, in the run folder."""


def work_describe(images: Sequence[ImageRecord], at: StageContext) -> list[ImageRecord]:
    """The function of the stage `describe`.

    Args:
        images: a batch of pictures.
        at: the settings and the model.
    """
    return describe(
        images, call=at.call, describer=at.model, settings=at.settings.build.describe, folder=at.folder,
        taxonomy=_taxonomy(at.settings, describe_template(at.settings.build.describe)),
    )  # fmt: skip


def uses_of_describe(settings: Settings) -> list[ModelUse]:
    """The model that describes the pictures.

    Args:
        settings: name it.
    """
    one = settings.build.describe
    return [ModelUse(label=one.model, setting="build.describe.model", sampling=one.sampling)] if one.model else []


def decides_descriptions(settings: Settings) -> Any:
    """What decides descriptions beside pictures and model.

    Args:
        settings: name template and taxonomy.

    Raises:
        DataError: the template or the taxonomy is unusable.
    """
    template = describe_template(settings.build.describe)
    return [template, _topic_descriptions(settings, template)]


def work_ask(images: Sequence[ImageRecord], at: StageContext) -> list[Query]:
    """The function of the stage `ask`.

    Args:
        images: a batch of pictures.
        at: the settings and the models.
    """
    settings = at.settings
    one = settings.build.ask
    calls = {kind: at.calls[key] for kind, key in _keys(settings).items()}
    answer = partial(_answer, at, one.follow_up.responder) if one.follow_up else None
    templates = "".join(ask_templates(one).values())
    return ask(
        images, call=at.call, settings=one, folder=at.folder, own_calls=calls, answer=answer,
        taxonomy=_taxonomy(settings, templates),
    )  # fmt: skip


def uses_of_ask(settings: Settings) -> list[ModelUse]:
    """The models that write questions, and who answers those that are followed up.

    Args:
        settings: name them.
    """
    one = settings.build.ask
    uses = []
    for (label, sampling), kinds in _askers(settings).items():
        setting = "build.ask.model" if label == one.model else "build.ask.models"
        name = _use_name(settings, label, kinds)
        uses.append(ModelUse(label=label, setting=setting, sampling=sampling, calls=len(kinds), name=name))
    if "follow_up" in one.written and one.follow_up:
        label = one.follow_up.responder
        sampling = settings.build.respond.sampling_for(label)
        uses.append(
            ModelUse(label=label, setting="build.ask.follow_up.responder", sampling=sampling, name=FIRST_ANSWER)
        )
    return uses


FIRST_ANSWER = "first answer"
"""Key of the use that answers what is followed up."""


def decides_questions(settings: Settings) -> Any:
    """What decides questions beside pictures and models.

    Args:
        settings: types of questions, templates and taxonomy.

    Raises:
        DataError: a template or the taxonomy is unusable.
    """
    templates = ask_templates(settings.build.ask)
    followed = settings.build.ask.follow_up
    system = system_text(settings.build.respond.own_system.get(followed.responder)) if followed else ""
    topics = _topic_descriptions(settings, "".join(templates.values()))
    return [settings.build.ask.model_dump(mode="json", exclude={"near_duplicates"}), templates, system, topics]


def near_duplicates_of(queries: Path, settings: Settings) -> dict[str, Any]:
    """What must be known before questions are marked: the near-duplicates of the whole run, in a table.

    Args:
        queries: table of the questions.
        settings: the threshold, and the run folder.
    """
    threshold = settings.build.ask.near_duplicates
    assert threshold is not None, "the stage is wanted only where there is one"
    found = find_near_duplicates(queries, threshold=threshold, out=Path(settings.out) / NEAR_DUPLICATES)
    return {"near_duplicates": {"found": found, "threshold": threshold, "table": NEAR_DUPLICATES}}


def work_distinct(queries: Sequence[Query], at: StageContext) -> Made:
    """The function of the stage `distinct`.

    Args:
        queries: a batch of questions.
        at: what the barrier found.
    """
    marked = mark_near_duplicates(queries, at.folder / at.shared["near_duplicates"]["table"])
    near = sum(now is not before for now, before in zip(marked, queries, strict=True))
    distinct = sum(query.query_status == "ok" for query in marked)
    return Made(marked, {"distinct": distinct, "near-duplicate": near, "not written": len(marked) - distinct - near})


def work_respond(queries: Sequence[Query], at: StageContext) -> list[Response]:
    """The function of the stage `respond`.

    Args:
        queries: a batch of questions.
        at: the settings and the model.
    """
    own = at.settings.build.respond
    return respond(
        queries, call=at.call, responder=at.model, folder=at.folder, samples=own.samples_for(at.model),
        system=system_text(own.own_system.get(at.model)),
    )  # fmt: skip


def uses_of_respond(settings: Settings) -> list[ModelUse]:
    """The responders, without empty slots.

    Args:
        settings: name them.
    """
    one = settings.build.respond
    return [
        ModelUse(label=name, setting="build.respond.models", sampling=one.sampling_for(name),
                 calls=one.samples_for(name), decides=partial(_decides_answers, settings, name))
        for name in one.responders
    ]  # fmt: skip


def answers_of_a_responder(settings: Settings) -> float:
    """Answers of a responder to a question, in the mean over all.

    Args:
        settings: name the responders.
    """
    one = settings.build.respond
    return sum(map(one.samples_for, one.responders)) / len(one.responders) if one.responders else 1.0


def empty_slots(settings: Settings) -> str:
    """Says which responders do not run, for they wait for a system prompt of the user's own; empty where all run.

    Args:
        settings: name the responders.
    """
    one = settings.build.respond
    if not one.empty_slots:
        return ""
    waiting = ", ".join(f"`{name}`" for name in one.empty_slots)
    fill = ", ".join(f"`build.respond.own_system.{name}`" for name in one.empty_slots)
    slots = "an empty slot" if len(one.empty_slots) == 1 else "empty slots"
    return (
        f"{len(one.responders)} of {plural(len(one.models), 'responder')} run: {waiting} is {slots}; to fill it, "
        f"name a file with your own system prompt as {fill}"
    )


def _decides_answers(settings: Settings, responder: str) -> Any:
    """What decides a responder's answers beside questions and model: how many they are, and its system prompt."""
    one = settings.build.respond
    return [one.samples_for(responder), system_text(one.own_system.get(responder))]


def _answer(at: StageContext, responder: str, queries: Sequence[Query]) -> list[Response]:
    """The answers that are followed up: word for word what the responder is asked later, so that it is asked once."""
    system = system_text(at.settings.build.respond.own_system.get(responder))
    return respond(queries, call=at.calls[FIRST_ANSWER], responder=responder, folder=at.folder, system=system)


def _askers(settings: Settings) -> dict[tuple[str, SamplingSettings], list[QuestionType]]:
    """The types of question by the model that writes them and its sampling."""
    one = settings.build.ask
    found: dict[tuple[str, SamplingSettings], list[QuestionType]] = {}
    for kind in one.written:
        found.setdefault((one.model_for(kind), one.sampling_for(kind)), []).append(kind)
    return found


def _use_name(settings: Settings, label: str, kinds: Sequence[QuestionType]) -> str:
    """Name of the use, where a model writes types of question in several ways: it alone would name two."""
    several = sum(asker == label for asker, _ in _askers(settings)) > 1
    return f"{label} for {', '.join(kinds)}" if several else ""


def _keys(settings: Settings) -> dict[QuestionType, str]:
    """Key of the use that writes each type of question."""
    return {
        kind: _use_name(settings, label, kinds) or label
        for (label, _), kinds in _askers(settings).items() for kind in kinds
    }  # fmt: skip


def _taxonomy(settings: Settings, templates: str) -> Taxonomy | None:
    """The taxonomy, where a template asks for the descriptions of its subcategories."""
    if "subcategory_description" not in templates:
        return None
    own = settings.build.collect.taxonomy
    return load_taxonomy(Path(own) if own else None)


def _topic_descriptions(settings: Settings, templates: str) -> Mapping[str, str]:
    """The descriptions of subcategories that prompts are filled with."""
    taxonomy = _taxonomy(settings, templates)
    return {topic.class3: taxonomy.describe(topic.class3) for topic in taxonomy.topics} if taxonomy else {}
