"""Pictures with questions, and a reward model → an aligned checkpoint, by PPO or RLOO. One round:

    1  draw      answers to some questions, at temperature 1
    2  look      old and reference log-probabilities, values, reward (and cost) of every answer, without gradients
    3  weigh     reward on the last token, price of leaving the reference on each; advantages
    4  step      a few clipped steps of policy and critic on minibatches of these answers

On plain accelerate. The folder is that of DPO (`spavl.align.dpo`), with a line of `metrics.jsonl` for every round.

Left out: a language-modelling term on pre-training data, an adaptive price of the KL, sharding of weights (FSDP, ZeRO).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from spavl.align.card import card
from spavl.align.dpo import Aligned
from spavl.align.pairs import Pair
from spavl.align.panel import Panel
from spavl.align.ppo_cast import assemble
from spavl.align.ppo_log import Log
from spavl.align.ppo_step import Ppo
from spavl.align.reward_model import read_card
from spavl.align.rollout import Ask, asks_of, blanked, by_picture
from spavl.align.save import export
from spavl.align.setup import Prepared, prepare
from spavl.align.state import begin, recipe
from spavl.align.trainer import need_trackers
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.models.layout_generate import prompt_ids
from spavl.watch import Progress, Silent, Watch


def train_ppo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    reward: Path,
    panel: Panel | None = None,
    watch: Watch | None = None,
) -> Aligned:
    """Align `settings.model` on the questions of pairs, against the reward model in the folder `reward`.

    A training that was stopped goes on from its last checkpoint. `panel` is asked every `settings.panel.every` rounds.
    Raises DataError, ModelError, SettingsError or RunError, each before the first round where it can be.
    """
    began = time.perf_counter()
    ready = _ready(pairs, settings, watch or Silent())
    main, place = ready.place.rank == 0, ready.place
    watch = watch if watch and main else Silent()
    need_trackers(settings.saving.report_to)
    accelerator = Accelerator(
        cpu=place.device.type == "cpu", log_with=list(settings.saving.report_to) or None, project_dir=out
    )
    accelerator.init_trackers("spavl")
    asks = asks_of([blanked(pair) for pair in ready.pairs] if settings.blind else ready.pairs)
    plan = rounds_of(asks, settings)
    _refuse_too_long(asks, ready, settings)
    watch.say(_told(ready, plan, settings))
    if main:
        begin(out, recipe(ready.pairs, settings, ready.identity, reward_model=read_card(reward)), watch)
    accelerator.wait_for_everyone()
    compute = torch.bfloat16 if place.dtype == "bfloat16" else torch.float32
    cast = assemble(settings, ready.policy, reward, compute=compute, device=place.device)
    training = Ppo(cast, settings, accelerator, rounds=len(plan), layout=ready.feed.layout)
    log = Log(out, accelerator, settings, watch.say)
    log.take_up(training)
    with watch.bar(settings.method) as told:
        _train(training, plan, log, panel if settings.panel.every else None, told)
    log.keep_final(training)
    accelerator.end_training()
    made = Aligned(out / "checkpoint", out / "adapter", len(plan), *log.choice(len(plan)))
    if main:
        made = _export(made, log, ready, settings, out)
        _note(out, made, ready, reward, time.perf_counter() - began)
    return made


def rounds_of(asks: Sequence[Ask], settings: AlignSettings) -> list[list[Ask]]:
    """The questions of every round, drawn from the seed. All rounds are full: the last goes on into another epoch.

    Questions about one picture stay together unless `batching.grouping` says otherwise.
    """
    wanted, optimiser = settings.reinforce, settings.optimiser
    steps = wanted.epochs * wanted.minibatches
    count = round(optimiser.epochs * len(asks) / wanted.prompts) or 1
    if optimiser.max_steps:
        count = -(-optimiser.max_steps // steps)
    shelves = by_picture(asks) if settings.batching.grouping == "picture" else [[ask] for ask in asks]
    stream: list[Ask] = []
    epoch = 0
    while len(stream) < count * wanted.prompts:
        order = list(shelves)
        if settings.batching.shuffle:
            random.Random(f"{settings.seed or 0}/{epoch}").shuffle(order)
        stream += [ask for shelf in order for ask in shelf]
        epoch += 1
    return [stream[at : at + wanted.prompts] for at in range(0, count * wanted.prompts, wanted.prompts)]


def _ready(pairs: Sequence[Pair], settings: AlignSettings, watch: Watch) -> Prepared:
    """Model opened, pairs examined. What is said of the steps of DPO is not said."""
    live = settings.reference.model_copy(update={"mode": "live"})
    ready = prepare(pairs, settings.model_copy(update={"reference": live}), Silent(), reference=True)
    ready = replace(ready, checkup=replace(ready.checkup, estimate=None))
    if ready.place.rank == 0:
        watch.say(ready.checkup.render())
    return ready


def _told(ready: Prepared, plan: Sequence[Sequence[Ask]], settings: AlignSettings) -> str:
    wanted = settings.reinforce
    return (
        f"{len(plan)} rounds of {wanted.prompts} questions with {wanted.answers} answers each · "
        f"{len(plan) * wanted.prompts * wanted.answers:,} answers in all, at most {wanted.max_tokens} tokens long"
    )


def _refuse_too_long(asks: Sequence[Ask], ready: Prepared, settings: AlignSettings) -> None:
    """A question and its longest answer must fit into what the model can attend to."""
    most = ready.policy.model.config.get_text_config().max_position_embeddings
    longest = max(len(prompt_ids((ask.picture,), "", ask.question, ready.policy.family)) for ask in asks)
    if longest + settings.reinforce.max_tokens > most:
        raise SettingsError(
            f"A question has {longest} tokens, and the model attends to {most}.",
            where="align.reinforce.max_tokens",
            try_=f"{most - longest} or less" if most > longest else "leave out the longest questions",
        )


def _train(training: Ppo, plan: Sequence[Sequence[Ask]], log: Log, panel: Panel | None, told: Progress) -> None:
    """All rounds that are not done yet."""
    saving, every = training.settings.saving, training.settings.panel.every or 1
    if panel and not log.looks:
        log.look(0, panel, training)
    for number in range(training.done.rounds + 1, len(plan) + 1):
        log.write(number, training.round(plan[number - 1]))
        if panel and (number % every == 0 or number == len(plan)):
            log.look(number, panel, training)
        if saving.every and number % saving.every == 0 and number < len(plan):
            log.keep(training, saving.keep)
        told(number, len(plan))


def _export(made: Aligned, log: Log, ready: Prepared, settings: AlignSettings, out: Path) -> Aligned:
    text = card(settings, ready.checkup, step=made.chosen, why=made.why, identity=ready.identity)
    exported = export(log.weights(made.chosen), settings, ready.source, out, dtype=ready.place.dtype, card=text)
    log.forget()
    return replace(made, checkpoint=exported.checkpoint, adapter=exported.adapter)


def _note(out: Path, made: Aligned, ready: Prepared, reward: Path, seconds: float) -> None:
    row = {
        "method": "ppo",
        "model": ready.identity,
        "reward_model": read_card(reward),
        "pairs": len(ready.pairs),
        "rounds": made.steps,
        "chosen_round": made.chosen,
        "why": made.why,
        "trained": dict(ready.checkup.trained),
        "layout": ready.checkup.layout,
        "left_out": {one.what: list(one.rows) for one in ready.checkup.findings if one.level == "skip"},
        "seconds": round(seconds, 1),
    }
    (out / "training.json").write_text(json.dumps(row, indent=2, ensure_ascii=False), encoding="utf-8")
