"""Pictures with questions, and a reward model → an aligned checkpoint, by PPO or RLOO. One round:

    1  draw      answers to some questions, at temperature 1
    2  look      old and reference log-probabilities, values, reward (and cost) of every answer, without gradients
    3  weigh     reward on the last token, price of leaving the reference on each; advantages
    4  step      a few clipped steps of policy and critic on minibatches of these answers

On plain accelerate. The folder is that of DPO (`spavl.align.dpo.train`), with a line of `metrics.jsonl` for every round.

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

from spavl.align.data.pairs import Pair
from spavl.align.dpo.train import TrainingResult
from spavl.align.policy.checkpoint import export
from spavl.align.policy.model_card import model_card
from spavl.align.ppo.log import PPOLog
from spavl.align.ppo.models import load_ppo_models
from spavl.align.ppo.rollout import RolloutPrompt, group_by_picture, prompts_of, with_blank_picture
from spavl.align.ppo.update import PPOTrainer
from spavl.align.preflight.prepare import PreparedTraining, prepare
from spavl.align.reward.model import read_card
from spavl.align.training.resume import begin, recipe
from spavl.align.training.trainer import require_trackers
from spavl.align.validation.selection import Validate
from spavl.config.align import AlignSettings
from spavl.errors import SettingsError
from spavl.models.trees.generate import prompt_ids
from spavl.progress import NoProgress, OnProgress, Progress


def train_ppo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    reward: Path,
    validation: Validate | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Align `settings.model` on the questions of pairs, against the reward model in the folder `reward`.

    A training that was stopped goes on from its last checkpoint. `panel` is asked every `settings.panel.every` rounds.
    Raises DataError, ModelError, SettingsError or RunError, each before the first round where it can be.
    """
    began = time.perf_counter()
    ready = _prepare(pairs, settings, progress or NoProgress())
    main, context = ready.context.rank == 0, ready.context
    progress = progress if progress and main else NoProgress()
    require_trackers(settings.saving.report_to)
    accelerator = Accelerator(
        cpu=context.device.type == "cpu", log_with=list(settings.saving.report_to) or None, project_dir=out
    )
    accelerator.init_trackers("spavl")
    asks = prompts_of([with_blank_picture(pair) for pair in ready.pairs] if settings.blind else ready.pairs)
    plan = rounds_of(asks, settings)
    _refuse_too_long(asks, ready, settings)
    progress.log(_summary(ready, plan, settings))
    if main:
        begin(out, recipe(ready.pairs, settings, ready.identity, reward_model=read_card(reward)), progress)
    accelerator.wait_for_everyone()
    compute = torch.bfloat16 if context.dtype == "bfloat16" else torch.float32
    cast = load_ppo_models(settings, ready.policy, reward, compute=compute, device=context.device)
    training = PPOTrainer(cast, settings, accelerator, rounds=len(plan), packing=ready.dataset.packing)
    log = PPOLog(out, accelerator, settings, progress.log)
    log.take_up(training)
    with progress.bar(settings.method) as on_progress:
        _train(training, plan, log, validation if settings.validation.every else None, on_progress)
    log.keep_final(training)
    accelerator.end_training()
    made = TrainingResult(out / "checkpoint", out / "adapter", len(plan), *log.choice(len(plan)))
    if main:
        made = _export(made, log, ready, settings, out)
        _note(out, made, ready, reward, time.perf_counter() - began)
    return made


def rounds_of(asks: Sequence[RolloutPrompt], settings: AlignSettings) -> list[list[RolloutPrompt]]:
    """The questions of every round, drawn from the seed. All rounds are full: the last goes on into another epoch.

    Questions about one picture stay together unless `batching.grouping` says otherwise.
    """
    wanted, optimiser = settings.ppo, settings.optimiser
    steps = wanted.epochs * wanted.minibatches
    count = round(optimiser.epochs * len(asks) / wanted.prompts) or 1
    if optimiser.max_steps:
        count = -(-optimiser.max_steps // steps)
    shelves = group_by_picture(asks) if settings.batching.grouping == "picture" else [[ask] for ask in asks]
    stream: list[RolloutPrompt] = []
    epoch = 0
    while len(stream) < count * wanted.prompts:
        order = list(shelves)
        if settings.batching.shuffle:
            random.Random(f"{settings.seed or 0}/{epoch}").shuffle(order)
        stream += [ask for shelf in order for ask in shelf]
        epoch += 1
    return [stream[at : at + wanted.prompts] for at in range(0, count * wanted.prompts, wanted.prompts)]


def _prepare(pairs: Sequence[Pair], settings: AlignSettings, progress: Progress) -> PreparedTraining:
    """Model opened, pairs examined. What is said of the steps of DPO is not said."""
    live = settings.reference.model_copy(update={"mode": "live"})
    ready = prepare(pairs, settings.model_copy(update={"reference": live}), NoProgress(), reference=True)
    ready = replace(ready, report=replace(ready.report, estimate=None))
    if ready.context.rank == 0:
        progress.log(ready.report.render())
    return ready


def _summary(ready: PreparedTraining, plan: Sequence[Sequence[RolloutPrompt]], settings: AlignSettings) -> str:
    wanted = settings.ppo
    return (
        f"{len(plan)} rounds of {wanted.prompts} questions with {wanted.answers} answers each · "
        f"{len(plan) * wanted.prompts * wanted.answers:,} answers in all, at most {wanted.max_tokens} tokens long"
    )


def _refuse_too_long(asks: Sequence[RolloutPrompt], ready: PreparedTraining, settings: AlignSettings) -> None:
    """A question and its longest answer must fit into what the model can attend to."""
    most = ready.policy.model.config.get_text_config().max_position_embeddings
    longest = max(len(prompt_ids((ask.picture,), "", ask.question, ready.policy.family)) for ask in asks)
    if longest + settings.ppo.max_tokens > most:
        raise SettingsError(
            f"A question has {longest} tokens, and the model attends to {most}.",
            where="align.ppo.max_tokens",
            try_=f"{most - longest} or less" if most > longest else "leave out the longest questions",
        )


def _train(
    training: PPOTrainer,
    plan: Sequence[Sequence[RolloutPrompt]],
    log: PPOLog,
    validation: Validate | None,
    on_progress: OnProgress,
) -> None:
    """All rounds that are not done yet."""
    saving, every = training.settings.saving, training.settings.validation.every or 1
    if validation and not log.looks:
        log.look(0, validation, training)
    for number in range(training.done.rounds + 1, len(plan) + 1):
        log.write(number, training.round(plan[number - 1]))
        if validation and (number % every == 0 or number == len(plan)):
            log.look(number, validation, training)
        if saving.every and number % saving.every == 0 and number < len(plan):
            log.keep(training, saving.keep)
        on_progress(number, len(plan))


def _export(
    made: TrainingResult, log: PPOLog, ready: PreparedTraining, settings: AlignSettings, out: Path
) -> TrainingResult:
    text = model_card(settings, ready.report, step=made.chosen, why=made.why, identity=ready.identity)
    exported = export(log.weights(made.chosen), settings, ready.source, out, dtype=ready.context.dtype, card=text)
    log.forget()
    return replace(made, checkpoint=exported.checkpoint, adapter=exported.adapter)


def _note(out: Path, made: TrainingResult, ready: PreparedTraining, reward: Path, seconds: float) -> None:
    row = {
        "method": "ppo",
        "model": ready.identity,
        "reward_model": read_card(reward),
        "pairs": len(ready.pairs),
        "rounds": made.steps,
        "chosen_round": made.chosen,
        "why": made.why,
        "trained": dict(ready.report.trained),
        "packing": ready.report.packing,
        "left_out": {one.what: list(one.rows) for one in ready.report.findings if one.level == "skip"},
        "seconds": round(seconds, 1),
    }
    (out / "training.json").write_text(json.dumps(row, indent=2, ensure_ascii=False), encoding="utf-8")
