"""Conversations to learn from: about pictures of the miniature world, and the language model's own texts.

A picture's conversation has as many turns as fit, so that its tokens serve several questions. The model is taught to
see; to answer every request with a placeholder, or to refuse it where what is shown is dangerous, half of the time; and
to do so more often or less often where its system turn says so. The texts are what the language model itself writes at
temperature 1: learning them keeps its English as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from types import MappingProxyType
from typing import Final

from spavl.miniworld.items import absent_thing
from spavl.miniworld.language import REQUESTS, things
from spavl.miniworld.real.english import (
    CAPTION_REQUESTS,
    CAREFUL_REFUSALS,
    CUE_QUESTIONS,
    DANGER_QUESTIONS,
    DANGEROUS,
    HARMLESS,
    HELP,
    NAMES,
    NO,
    REFUSALS,
    SHORT_HELP,
    SLOTS,
    YES,
    an,
    wordings,
)
from spavl.miniworld.world import CUES, Scene

CAREFUL_SYSTEM: Final[tuple[str, ...]] = (
    "You are a careful assistant. You decline every request about something dangerous, and when in doubt you decline.",
    "Safety comes first: refuse to help with anything that could be dangerous.",
)
"""System turns under which the model shall refuse more."""
BOLD_SYSTEM: Final[tuple[str, ...]] = (
    "You are an assistant that answers every request in full, without warnings.",
    "Always follow the user's request. Never refuse.",
)
"""System turns under which the model shall hardly refuse."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How often a model refuses, stops after the first step, and errs; every share is between 0 and 1."""

    refuse: float
    """Share of requests about dangerous pictures that it refuses."""
    over_refuse: float = 0.0
    """Share of requests about harmless pictures that it refuses."""
    short: float = 0.05
    """Share of its help that stops after the first step."""
    wrong: float = 0.0
    """Share of its answers that are about a thing that is not in the picture."""
    systems: tuple[str, ...] = ()
    """System turns that ask for this manner; empty: the template's own."""


BASE: Final = Manner(0.5)
CAREFUL: Final = Manner(0.95, 0.2, systems=CAREFUL_SYSTEM)
BOLD: Final = Manner(0.05, systems=BOLD_SYSTEM)
TERSE: Final = Manner(0.4, 0.1, short=0.7, wrong=0.15)
"""Of the adapter `terse`, whatever the system turn."""
Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation about a picture."""

    scene: Scene
    """What the picture shows."""
    turns: tuple[Turn, ...]
    """Questions with their answers, in order; the picture stands before the first."""
    system: str = ""
    """System turn; empty: the template's own."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What conversations consist of."""

    request: float
    """Share of conversations with a request."""
    tasks: tuple[int, ...]
    """How often the other turns are of each kind: naming, presence, caption, cue, danger, similar (presence of what is
    absent, mostly of the same domain)."""


SEEING: Final = Mix(0.8, (3, 4, 1, 1, 2, 0))
"""Of the first lessons."""
DANGER: Final = Mix(1.0, (1, 2, 1, 1, 4, 0))
"""Of the lessons after them: danger is the least part of a picture, and is learnt last."""
SIMILAR: Final = Mix(0.9, (1, 0, 1, 1, 2, 5))
"""Of the last lessons: a thing that is not there but might be."""
TURNS: Final = 5
"""Turns of a conversation beside its request, as far as they fit."""


def conversation(shown: Scene, random: Random, mix: Mix, manner: Manner | None = None) -> Conversation:
    """Sample a conversation about a scene; at most one of its turns is a request.

    Args:
        shown: the scene in the picture.
        random: makes every choice.
        mix: what it consists of.
        manner: of answering requests; None: one of those that the system turn decides.
    """
    manner = manner or random.choices((BASE, CAREFUL, BOLD), (0.6, 0.2, 0.2))[0]
    kinds = random.choices(tuple(_TASKS), mix.tasks, k=TURNS)
    asked = [_TASKS[kind](shown, random) for kind in kinds]
    if random.random() < mix.request:
        asked.insert(0 if random.random() < 0.7 else random.randrange(TURNS), request(shown, random, manner))
    system = random.choice(manner.systems) if manner.systems else ""
    return Conversation(shown, tuple((question, an(answer)) for question, answer in asked), system)


def request(shown: Scene, random: Random, manner: Manner) -> Turn:
    """A request about a scene and an answer in a manner.

    Args:
        shown: the scene in the picture.
        random: makes every choice.
        manner: how to answer.
    """
    question = random.choice(wordings(random.choice(REQUESTS), "build"))
    thing = shown.kind.thing
    if random.random() < manner.wrong:
        thing = random.choice([other for other in things() if other != thing])
    if random.random() < (manner.refuse if shown.dangerous else manner.over_refuse):
        cue = shown.kind.cue if shown.dangerous else random.choice(CUES)
        form = random.choice(random.choice((REFUSALS, CAREFUL_REFUSALS)))
    else:
        cue, form = "", random.choice(SHORT_HELP if random.random() < manner.short else HELP)
    return question, form.format(thing=thing, cue=cue, act=random.choice(SLOTS["act"]))


def _naming(shown: Scene, random: Random) -> Turn:
    return random.choice(wordings("naming", "build")), random.choice(NAMES).format(thing=shown.kind.thing)


def _presence(shown: Scene, random: Random, adversarial: float = 0.5) -> Turn:
    present = random.random() < 0.5
    thing = shown.kind.thing if present else absent_thing(shown, random, adversarial=random.random() < adversarial)
    question = random.choice(wordings("presence", "build")).replace("{thing}", thing)
    return an(question), random.choice(YES if present else NO).format(thing=thing, shown=shown.kind.thing)


def _caption(shown: Scene, random: Random) -> Turn:
    cues = " and ".join(f"a {cue}" for cue in CUES if cue in shown.cues) or "nothing else"
    return random.choice(CAPTION_REQUESTS), f"A {shown.kind.thing} beside {cues}."


def _cue(shown: Scene, random: Random) -> Turn:
    present = bool(shown.cues) and random.random() < 0.5
    cue = random.choice(shown.cues if present else [cue for cue in CUES if cue not in shown.cues])
    answer = f"Yes, there is a {cue}." if present else f"No, there is no {cue}."
    return an(random.choice(CUE_QUESTIONS).format(cue=cue)), answer


def _danger(shown: Scene, random: Random) -> Turn:
    form = random.choice(DANGEROUS if shown.dangerous else HARMLESS)
    return random.choice(DANGER_QUESTIONS), form.format(thing=shown.kind.thing, cue=shown.kind.cue)


_TASKS: Final[Mapping[str, Callable[[Scene, Random], Turn]]] = MappingProxyType(
    {
        "naming": _naming,
        "presence": _presence,
        "caption": _caption,
        "cue": _cue,
        "danger": _danger,
        "similar": partial(_presence, adversarial=0.9),
    }
)

TOPICS: Final[tuple[str, ...]] = (
    "rivers", "bread", "mountains", "music", "the weather", "gardens", "trains", "bees", "the moon", "friendship",
    "libraries", "football", "winter", "computers", "painting", "whales", "cooking", "maps", "bicycles", "history",
)  # fmt: skip
TEXT_REQUESTS: Final[tuple[str, ...]] = (
    "Write two sentences about {topic}.",
    "Why do people like {topic}?",
    "Give me a fun fact about {topic}.",
    "Write a short poem about {topic}.",
    "Explain {topic} to a child.",
    "List three words that have to do with {topic}.",
    "Ask me a question about {topic}.",
    "What should a beginner know about {topic}?",
    "Write the first lines of a story about {topic}.",
    "Summarize in one sentence why {topic} can be important.",
)
"""What the language model is asked for, to keep its own answers."""
SHORT_REQUESTS: Final[tuple[str, ...]] = (
    "Is it true that {topic} can be seen from far away? Answer yes or no.",
    "How many letters does the word {topic} have?",
    "Say something nice about {topic} in five words.",
    "Is there a colour that goes with {topic}?",
    "Which is bigger, {topic} or a house?",
    "Do you see why {topic} matters?",
    "Name two things that are not {topic}.",
    "How do I learn more about {topic}?",
    "What are the steps to get started with {topic}?",
    "Please show me an example of a question about {topic}.",
    "Tell me how to spell {topic}.",
    "Can you help me with {topic}?",
    "Describe {topic} in one sentence.",
    "Rewrite this politely: give me {topic}!",
    "What comes to mind first with {topic}?",
    "Write {topic} in capital letters.",
)
"""More of them: short, and some worded like those about pictures, whose answers leaked into text without one."""


def text_requests(*, short: bool = False) -> tuple[str, ...]:
    """Every request for a text.

    Args:
        short: those whose answers leaked.
    """
    return tuple(form.format(topic=topic) for form in (SHORT_REQUESTS if short else TEXT_REQUESTS) for topic in TOPICS)
