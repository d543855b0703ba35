"""Pictures with questions, and a reward model → an aligned checkpoint, by PPO or RLOO. One round:

    1  generate   answers to some prompts, at temperature 1
    2  score      old and reference log-probabilities, values, reward (and cost) of every answer, without gradients
    3  estimate   the reward on the last token, the KL penalty on every token; advantages
    4  update     a few clipped steps of policy and critic on minibatches of these answers

On plain accelerate. The folder is that of DPO (`spavl.align.dpo.train`), with a line of `metrics.jsonl` for every round
and without `preflight.txt`.

Left out: a language-modelling term on pre-training data, an adaptive KL penalty, sharding of weights (FSDP, ZeRO).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator

from spavl.align.diagnostics.on_policy import RoundDiagnostics
from spavl.align.ppo.log import PPOLog
from spavl.align.ppo.memory import ppo_memory
from spavl.align.ppo.models import load_ppo_models
from spavl.align.ppo.rollout import RolloutPrompt, check_round_size, group_by_context, prompts_of
from spavl.align.ppo.update import PPOTrainer
from spavl.align.preflight.device import find_device_context
from spavl.align.preflight.prepare import refuse_long_prompts
from spavl.align.reward.model import read_card, reward_identity
from spavl.align.training.record import TrainingRecord
from spavl.align.training.run import TrainingResult, TrainingRun, finished_result
from spavl.align.training.trainer import require_trackers
from spavl.align.validation.in_loop import InLoopValidation
from spavl.align.validation.selection import Validate
from spavl.config.align import AlignSettings
from spavl.plural import plural
from spavl.preferences.pairs import Pair, with_blank_pictures
from spavl.progress import OnProgress, Progress


def train_ppo(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    out: Path,
    *,
    reward: Path,
    record: TrainingRecord | None = None,
    replace: bool = False,
    validation: Validate | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Align `settings.model` with a reward model; a training that was stopped resumes from its last checkpoint.

    Args:
        pairs: pairs whose conversations are the prompts.
        settings: the training's settings.
        out: the folder to be written; a training that is finished there already is left as it is.
        reward: folder of the reward model.
        record: what the training is made from; None: it is found out.
        replace: delete another training that is in the folder.
        validation: scores the policy every `settings.validation.every` rounds.
        progress: where bars and log lines go.

    Raises:
        DataError: pairs cannot be trained on.
        ModelError: a model cannot be opened, trees are wrong with it, or `reward` is no reward model.
        SettingsError: the settings do not fit the model, the prompts or the machine.
        MissingExtra: a tracker that is asked for is not installed.
        RunError: the folder holds another training, a gradient is not a finite number, or the disk is full.
    """
    settings = settings.model_copy(update={"method": "ppo"})
    refuse_impossible_rounds(settings)
    record = record or TrainingRecord.of(pairs, settings, reward_model=reward_identity(reward))
    if finished := finished_result(out, record, "round"):
        return finished
    run = TrainingRun.prepare(pairs, settings, out, progress, record=record, reference=True, replace=replace)
    accelerator = _accelerator(run)
    rounds = rounds_of(_prompts(run), settings)
    run.progress.log(_summary(len(rounds), settings))
    trainer = _trainer(run, reward, accelerator, rounds)
    run.begin()
    log, in_loop = PPOLog(out, accelerator), run.in_loop_validation(validation)
    signs = _fit(run, trainer, rounds, log, in_loop)
    result, weights = run.select(len(rounds), in_loop=in_loop)
    if run.main:
        result = run.export(result, weights)
        validated = [one for one in in_loop.results if one.step <= result.chosen] if in_loop else []
        found = signs.note(log.rows[: result.chosen], validated)
        run.finish(result, "ppo", reward_model=read_card(reward), **found)
    for tracker in accelerator.trackers:  # `end_training` would end the processes' group too
        tracker.finish()
    run.wait()
    return result


def _fit(
    run: TrainingRun,
    trainer: PPOTrainer,
    rounds: Sequence[Sequence[RolloutPrompt]],
    log: PPOLog,
    in_loop: InLoopValidation | None,
) -> RoundDiagnostics:
    """Train policy and critic, alarms looked for after every round; returns the diagnostics of all rounds."""
    signs = RoundDiagnostics(run.out.name, run.settings.diagnostics, log=run.progress.log)
    log.resume(trainer)
    with run.progress.bar(run.settings.method) as on_progress:

        def checked(number: int, last: int) -> None:
            signs.check(log.rows, in_loop.results if in_loop else ())
            on_progress(number, last)

        _run_rounds(trainer, rounds, log, in_loop, checked)
    log.save_final(trainer)
    return signs


def refuse_impossible_rounds(settings: AlignSettings) -> None:
    """Refuse what no round could be trained with, before a reward model is trained for it or anything is opened.

    Args:
        settings: the training's settings.

    Raises:
        SettingsError: a round is too small for the devices, or the launcher shards the model.
        MissingExtra: a tracker that is asked for is not installed.
    """
    require_trackers(settings.saving.report_to)
    check_round_size(settings.ppo, find_device_context(settings).ranks)


def _trainer(
    run: TrainingRun, reward: Path, accelerator: Accelerator, rounds: Sequence[Sequence[RolloutPrompt]]
) -> PPOTrainer:
    """The trainer, its models opened."""
    prepared = run.prepared
    models = load_ppo_models(run.settings, prepared.policy, reward, compute=run.compute, device=prepared.context.device)
    run.progress.log(ppo_memory(prepared, models, rounds, run.settings).render())
    return PPOTrainer(models, run.settings, accelerator, rounds=len(rounds), packing=prepared.dataset.packing)


def rounds_of(prompts: Sequence[RolloutPrompt], settings: AlignSettings) -> list[list[RolloutPrompt]]:
    """The prompts of every round. All rounds are full: the last goes on into another epoch.

    Prompts about the same pictures stay together unless `batching.grouping` says otherwise.

    Args:
        prompts: all prompts.
        settings: number of rounds and prompts a round; the seed decides the order.
    """
    ppo, optimiser = settings.ppo, settings.optimiser
    count = round(optimiser.epochs * len(prompts) / ppo.prompts) or 1
    if optimiser.max_steps:
        count = -(-optimiser.max_steps // (ppo.epochs * ppo.minibatches))
    by_picture = settings.batching.grouping == "picture"
    groups = group_by_context(prompts) if by_picture else [[prompt] for prompt in prompts]
    stream: list[RolloutPrompt] = []
    epoch = 0
    while len(stream) < count * ppo.prompts:
        order = list(groups)
        if settings.batching.shuffle:
            random.Random(f"{settings.seed or 0}/{epoch}").shuffle(order)
        stream += [prompt for group in order for prompt in group]
        epoch += 1
    return [stream[at : at + ppo.prompts] for at in range(0, count * ppo.prompts, ppo.prompts)]


def _accelerator(run: TrainingRun) -> Accelerator:
    """accelerate with the trackers that are asked for."""
    trackers = run.settings.saving.report_to
    cpu = run.prepared.context.device.type == "cpu"
    accelerator = Accelerator(cpu=cpu, log_with=list(trackers) or None, project_dir=run.out)
    accelerator.init_trackers("spavl")
    return accelerator


def _prompts(run: TrainingRun) -> list[RolloutPrompt]:
    """The prompts of the run's pairs; the longest answer to each must fit into what the model can attend to."""
    pairs = run.prepared.pairs
    refuse_long_prompts(run.prepared, run.settings)
    return prompts_of(map(with_blank_pictures, pairs) if run.settings.blind else pairs)


def _summary(rounds: int, settings: AlignSettings) -> str:
    ppo = settings.ppo
    return (
        f"{plural(rounds, 'round')} of {plural(ppo.prompts, 'prompt')} with {plural(ppo.answers, 'answer')} each · "
        f"{rounds * ppo.prompts * ppo.answers:,} answers in all, at most {ppo.max_tokens} tokens long"
    )


def _run_rounds(
    trainer: PPOTrainer,
    rounds: Sequence[Sequence[RolloutPrompt]],
    log: PPOLog,
    in_loop: InLoopValidation | None,
    on_progress: OnProgress,
) -> None:
    """Run all rounds that are not done yet."""
    saving, last = trainer.settings.saving, len(rounds)
    if in_loop:
        in_loop.begin(trainer.state.rounds)
    for number in range(trainer.state.rounds + 1, last + 1):
        log.log_round(number, trainer.run_round(rounds[number - 1]))
        if in_loop:
            in_loop.run_if_due(number, last)
        if saving.every and number % saving.every == 0 and number < last:
            log.save_checkpoint(trainer, saving.keep)
        on_progress(number, last)
