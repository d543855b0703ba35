"""Settings of preference alignment: the loss, what is trained, the batches, the reference, the machine, validation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from spavl.config.base import Section
from spavl.config.diagnostics import DiagnosticsSettings
from spavl.config.loss import KINDS, AnswersRead, LossSettings
from spavl.config.ppo import PPOSettings, RewardSettings

VisionFreeze = Annotated[str, Field(pattern=r"^(frozen|lora|full|last:[1-9][0-9]*)$")]
Share = Annotated[float, Field(ge=0, le=1)]
PairForm = Literal[
    "spa-vl", "trl", "hh-rlhf", "sharegpt", "alpaca", "ms-swift", "two-responses", "rlhf-v", "vlfeedback",
    "trl-unpaired",
]  # fmt: skip
"""The public forms of preference files."""
Preference = Literal["safer", "more_helpful"]
"""Which of two answers is preferred, where a file has an opinion on both counts."""


class FreezeSettings(Section):
    """Which weights are trained. Asserted on every parameter before the first step."""

    vision: VisionFreeze = "frozen"
    """The vision tower: `frozen`, `last:N` (the last N layers), `lora` or `full`."""
    projector: Literal["train", "frozen"] = "train"
    """The layers between the vision tower and the language model; SPA-VL trains them."""
    language: Literal["lora", "full"] = "lora"
    """The language model: an adapter (`lora`), or all its weights (`full`)."""
    rank: PositiveInt = 64
    """LoRA: rank of the update; larger trains more weights."""
    alpha: PositiveFloat = 128.0
    """LoRA: the update is scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """LoRA: share of the inputs of an update that are dropped in a training step; never while anything is measured or
    answered. Not for `method: ppo`, whose ratios it would falsify."""
    rslora: bool = False
    """LoRA: scale the update by alpha / √rank instead of alpha / rank (rank-stabilised, arXiv 2312.03732)."""
    target_modules: Literal["all", "attention"] | list[str] = "all"
    """LoRA: every linear layer (`all`), those of attention only (`attention`), or those with one of these names, such
    as `[q_proj, v_proj]`. The output head is never among them."""
    quantisation: Literal["none", "8bit", "4bit"] = "none"
    """Of the language model's frozen weights (QLoRA); needs bitsandbytes (`pip install 'spavl[quantised]'`) and
    `language: lora`. Vision tower, projector and output head stay whole."""

    @model_validator(mode="after")
    def _trains_no_quantised_weights(self) -> FreezeSettings:
        if self.language == "full" and self.quantisation != "none":
            raise ValueError("quantised weights cannot be trained: `quantisation` goes with `language: lora`")
        return self


class OptimiserSettings(Section):
    """The optimiser, its learning rate, and how long it trains."""

    learning_rate: PositiveFloat = 2e-5
    """Highest rate. The paper: 2e-5 with LoRA, 1e-6 in full."""
    projector_learning_rate: PositiveFloat | None = None
    """Highest rate of the projector, where it is trained. None: `learning_rate`."""
    vision_learning_rate: PositiveFloat | None = None
    """Highest rate of the vision tower, where it is trained. None: `learning_rate`."""
    min_learning_rate: Share = 0.0
    """Where `cosine` and `linear` end: a share of the highest rate."""
    epochs: PositiveFloat = 1.0
    """Times every pair is seen."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps; overrides `epochs`."""
    warmup: NonNegativeFloat = 0.03
    """How long the rate rises to its highest. Below 1: share of all steps; from 1: number of steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """What the rate does after warm-up."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay of AdamW; larger pulls weights harder towards zero."""
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients with a larger norm are scaled down to this one; 0 never clips."""
    name: Literal["adamw", "adamw_8bit", "paged_adamw_32bit"] = "adamw"
    """The last two need bitsandbytes (`pip install 'spavl[quantised]'`), and do not work on sharded weights (FSDP)."""


class BatchingSettings(Section):
    """What goes through one step. The recipe is `pairs`; the others only fit it to the machine and change no result."""

    pairs: PositiveInt = 8
    """Pairs in one optimiser step, over all devices and forward passes together."""
    forward_pairs: PositiveInt | None = None
    """Most pairs in one forward pass of one device. None: as many as `token_budget` lets in."""
    token_budget: PositiveInt = 8192
    """Most tokens, padding counted, in one forward pass of one device; larger is faster and needs more memory. A single
    tree may be larger."""
    grouping: Literal["picture", "question", "pair"] = "picture"
    """Pairs with one picture (or one question) are trained in one step and share their common tokens."""
    packing: Literal["auto", "tree", "separate"] = "auto"
    """`tree`: picture, questions and answers in one sequence. `separate`: one sequence an answer. `auto`: trees where
    the preflight finds that they give the same numbers."""
    shuffle: bool = True
    """Shuffle the pairs anew in every epoch, from the seed."""


class ReferenceSettings(Section):
    """Log-probabilities of the model as it was before training."""

    mode: Literal["auto", "live", "cached"] = "auto"
    """`live`: recomputed in every step. `cached`: computed once, kept on disk, shared by all runs on the same model.
    `auto`: cached where pairs are seen more than once."""
    cache: str = ".spavl/reference"
    """Folder of the cache."""


class FeatureSettings(Section):
    """What a frozen vision tower gives for every picture: kept, or computed whenever the picture is shown."""

    mode: Literal["auto", "live", "cached"] = "auto"
    """`live`: the tower runs in every pass. `cached`: it runs once for every picture, and what it gives is kept on
    disk, shared by all runs on the same tower; the projector behind it may be trained. `auto`: cached where pairs are
    seen more than once and the disk has room. Where it cannot be kept (a tower that is trained, `method: ppo`), the
    preflight says why."""
    cache: str = ".spavl/features"
    """Folder of the cache. LLaVA-1.5 takes 1.2 MB a picture in bfloat16."""


class DataSettings(Section):
    """Pairs that cannot be trained on as they are. The preflight finds them before the first step, by their ids."""

    invalid: Literal["refuse", "skip"] = "refuse"
    """Missing or unreadable picture, empty or equal answers, control tokens inside a text. `refuse`: training does not
    start. `skip`: such pairs are left out and counted."""
    max_tokens: PositiveInt | None = None
    """Longest picture + question + answer, in tokens. None: what the model can attend to."""
    too_long: Literal["skip", "cut", "refuse"] = "skip"
    """`skip`: left out and counted. `cut`: answers are cut; questions and pictures never are. `refuse`: training does
    not start."""
    max_pixels: PositiveInt | None = None
    """Pictures of more pixels (width times height) are made smaller before the processor sees them, in training and
    wherever the trained model is evaluated. None: as they are."""
    thought: Literal["drop", "train"] = "drop"
    """Reasoning before an answer (columns `chosen_thought`, `rejected_thought`, or `reasoning_content` of a message).
    `drop`: only the answer is trained on. `train`: it stands before the answer, between `<think>` and `</think>`."""
    control_tokens: Literal["break", "skip", "refuse"] = "break"
    """Texts that hold a control token of the model (`<|im_end|>`, `<image>` and their like), which would end a turn or
    stand for a picture. `break`: a space is put into it, as in all that the model reads elsewhere, and the pairs are
    counted. `skip`: such pairs are left out. `refuse`: training does not start."""
    repeated: Literal["keep", "skip", "refuse"] = "keep"
    """Pairs that stand in the file more than once, word for word and with the same pictures. `keep`: all are trained
    on, and counted. `skip`: only the first is. `refuse`: training does not start."""
    contradictory: Literal["keep", "skip", "refuse"] = "keep"
    """Pairs whose answers are preferred the other way round in another row. `keep`: all are trained on, and counted.
    `skip`: none of them is. `refuse`: training does not start."""
    form: PairForm | None = None
    """Form of a file given by `--pairs`. None: told by its columns; needed only where they fit several."""
    prefer: Preference | None = None
    """Which answer is the chosen one in files that say of two which is safer and which is more helpful
    (BeaverTails-V): `safer` or `more_helpful`. Needed for such files, and read in no other."""


class MachineSettings(Section):
    """Where the training runs. Changes speed and memory; `dtype` also rounding."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`, `cpu`, `cuda` or `mps`. Several GPUs: `accelerate launch`; one of several: CUDA_VISIBLE_DEVICES."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen weights and the arithmetic, here and where base and aligned models are evaluated; what is trained
    is kept in float32. `auto`: bfloat16 on a GPU that has it."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more work."""
    workers: NonNegativeInt | None = None
    """Processes that prepare pictures ahead of the training. None: none on a CPU, four beside a GPU."""
    picture_memory: NonNegativeInt = 1024
    """MiB of prepared pictures kept in memory, in each of these processes."""
    pairs_cache: str = ".spavl/pairs"
    """Folder of the pairs as they are read while training: converted once, with all that was measured of them."""


class SavingSettings(Section):
    """What is written while training."""

    every: PositiveInt | None = 500
    """Steps between checkpoints from which a stopped training is resumed. None: never."""
    keep: PositiveInt = 2
    """How many of the latest such checkpoints are kept while it trains: each holds all that is trained and the
    optimiser, 80 GB for 7 billion weights in full. Of two, one is whole even if the other was being written."""
    when_finished: Literal["remove", "keep"] = "remove"
    """What becomes of these checkpoints, and of weights that were kept to choose among, when the training is finished
    and its model is written. `keep` leaves them in `state/` (27 GB and more for 7 billion weights in full)."""
    log_every: PositiveInt = 10
    """Steps between lines of `metrics.jsonl`."""
    report_to: list[Literal["tensorboard", "wandb", "trackio", "mlflow"]] = []
    """Trackers that get the same numbers."""
    merged: bool = True
    """Also write the whole model with the adapter merged in, as a plain checkpoint."""


class ValidationSettings(Section):
    """What is measured while training, and which step is written.

    Two measurements, each of use alone: loss and accuracy on pairs that are held out (`held_out`), and safety,
    over-refusal and skill on a small fixed set of benchmark items (`every`). Where there are both, the second chooses
    the step.
    """

    held_out: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the pictures whose pairs are never trained on, for `dpo` and `reward`: loss and accuracy are measured on
    them. None: 0.05 for a reward model, 0 for DPO."""
    held_out_pairs: str | None = None
    """Pairs of your own to measure on instead, as `--pairs` takes them, in any of the forms. None: the share."""
    measure_every: PositiveInt | None = 50
    """Steps between measurements on the held-out pairs, each by all devices together. None: only at the end."""
    patience: PositiveInt | None = None
    """Early stopping: stop after so many measurements in a row that found no lower held-out loss. None: train on."""
    keep: Literal["best", "last"] = "best"
    """Whose weights are written where nothing is measured on benchmark items: `best`, of the step with the lowest
    held-out loss; `last`, of the last step."""
    every: PositiveInt | None = None
    """Steps (PPO: rounds) between validations on benchmark items. None: no such validation."""
    items: PositiveInt = 60
    """Items of every subset of the benchmarks that are answered in a validation."""
    over_refusal: Share = 0.02
    """Largest over-refusal rate that a chosen checkpoint may have."""
    skill_loss: Share = 0.02
    """Largest loss of skill, against the model before training, that a chosen checkpoint may have."""


class AlignSettings(Section):
    """Preference alignment of one model."""

    method: Literal["dpo", "reward", "ppo"] = "dpo"
    """`dpo`: train on the pairs directly, with the loss `loss.kind`: DPO and its kin, SimPO, ORPO, KTO, SFT. `reward`:
    train a reward model on the pairs. `ppo`: reinforcement learning from that reward model, by PPO or RLOO
    (`ppo.estimator`)."""
    model: str = "llava-hf/llava-1.5-7b-hf"
    """A checkpoint folder, a Hub id, or `miniworld:<name>`."""
    revision: str | None = None
    """Commit of a Hub id."""
    loss: LossSettings = LossSettings()
    """The loss over pairs, for `method: dpo`."""
    freeze: FreezeSettings = FreezeSettings()
    """Which weights are trained."""
    optimiser: OptimiserSettings = OptimiserSettings()
    """The optimiser, its learning rate, and how long it trains."""
    batching: BatchingSettings = BatchingSettings()
    """What goes through one step."""
    reference: ReferenceSettings = ReferenceSettings()
    """Log-probabilities of the model before training, for `method: dpo` with a loss that compares with them."""
    features: FeatureSettings = FeatureSettings()
    """What a frozen vision tower gives for the pictures."""
    data: DataSettings = DataSettings()
    """What happens to pairs that cannot be trained on as they are."""
    machine: MachineSettings = MachineSettings()
    """Where the training runs."""
    saving: SavingSettings = SavingSettings()
    """What is written while training."""
    validation: ValidationSettings = ValidationSettings()
    """What is measured while training, and which step is written."""
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()
    """What else is measured while training, and the alarms that ring by it."""
    reward: RewardSettings = RewardSettings()
    """The reward model, for `method: reward` and `method: ppo`."""
    ppo: PPOSettings = PPOSettings()
    """Rounds of generation and training, for `method: ppo`."""
    seed: int | None = None
    """Of the order of pairs and of new adapter weights. None: the seed of the run."""
    blind: bool = False
    """Control experiment: train with every picture blanked."""

    @field_validator("method", mode="before")
    @classmethod
    def _names_no_loss(cls, method: Any) -> Any:
        if method in KINDS:
            raise ValueError(f"`{method}` is a loss over the pairs: `align.method=dpo align.loss.kind={method}`")
        if method == "rloo":
            raise ValueError("RLOO is an estimator of PPO's rounds: `align.method=ppo align.ppo.estimator=rloo`")
        return method

    @model_validator(mode="after")
    def _fits_the_method(self) -> AlignSettings:
        if self.method == "ppo" and self.freeze.dropout:
            raise ValueError("`freeze.dropout` is not for `method: ppo`: its ratios compare passes without dropout")
        if self.method == "reward" and self.reward.pairs:
            raise ValueError(
                "`reward.pairs` is for `method: ppo`; a reward model is trained on the pairs that are given"
            )
        if self.validation.patience and self.validation.measure_every is None:
            raise ValueError("`validation.patience` counts measurements: set `validation.measure_every`")
        on_pairs = self.method == "ppo" or self.held_out or self.validation.held_out_pairs
        if self.validation.patience and not on_pairs:
            raise ValueError("`validation.patience` counts measurements on held-out pairs: set `validation.held_out`")
        return self

    @property
    def answers(self) -> AnswersRead:
        """What of the pairs the method reads; a reward model reads both answers, and PPO the prompts."""
        return self.loss.answers if self.method == "dpo" else "pairs"

    @property
    def reads_unpaired(self) -> bool:
        """Whether rows of one answer can be trained on: by KTO all, by SFT those that are wanted."""
        return self.answers != "pairs"

    @property
    def held_out(self) -> float:
        """Share of the pictures that is held out: as set, or by the method."""
        if self.method == "ppo":
            return 0.0
        if self.validation.held_out is not None:
            return self.validation.held_out
        return 0.05 if self.method == "reward" else 0.0
