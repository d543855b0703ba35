"""Preflight checks: is the model trained on what the data says, and does every shortcut give the same numbers?

Every check is on real rows of this data with this model. What may come out wrong without any error elsewhere — answers
scored at the wrong tokens, trees that see too much, a picture that never arrives, active dropout — is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from spavl.align.data.batches import PairDataset
from spavl.align.data.schedule import PairGroup
from spavl.align.data.validate import Finding
from spavl.align.policy.policy import Policy
from spavl.align.preflight.estimate import Estimate
from spavl.align.preflight.memory import ForwardCost, measure_forward
from spavl.align.preflight.probes import PROBED, CheckedModel, MeasuredPass, shape_of
from spavl.align.training.trainer import checkpoint_activations
from spavl.config.align import AlignSettings
from spavl.errors import ModelError
from spavl.models.thought import END, START
from spavl.models.trees.batch import Packing, TreeBatch
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs, image_features
from spavl.plural import plural

EXACT = 1e-4
"""Largest relative difference of an answer's log-probability between packings, in float32."""
LEAST_ROUNDING = 0.05
"""Nats that are taken for rounding in half precision, however little the model moves with it."""
ROUNDINGS = 3
"""Times that embeddings are rounded otherwise to see how much the model moves with it."""
SAMPLE = 6
"""Most trees on which the model is run."""


@dataclass(frozen=True)
class PreflightReport:
    """What the preflight found and expects."""

    pairs: int
    """Pairs that are trained on."""
    pictures: int
    """Distinct pictures among them."""
    trained: Mapping[str, int]
    """Trained weights by part of the model."""
    packing: Packing
    """How sequences are packed, as chosen by the checks."""
    findings: tuple[Finding, ...] = ()
    """Findings on the pairs and on the model."""
    estimate: Estimate | None = None
    """Expected cost of the training."""

    def render(self) -> str:
        """The report as text: counts, the estimate, and a line or two for each finding."""
        trained = ", ".join(f"{part} {count:,}" for part, count in self.trained.items() if count)
        lines = [
            f"{plural(self.pairs, 'pair')} on {plural(self.pictures, 'picture')} · trained weights: {trained} · "
            f"packing: {self.packing}"
        ]
        if self.estimate:
            lines.append(self.estimate.render())
        return "\n".join(lines + [finding.render() for finding in self.findings])


@contextmanager
def rounded_otherwise(model: Any, seed: int) -> Iterator[None]:
    """While the context holds, every number of a token's embedding is off by about the rounding of bfloat16.

    Args:
        model: the model, wrapped or not.
        seed: of the errors.
    """
    table = model.get_input_embeddings()
    generator = torch.Generator(table.weight.device).manual_seed(seed)

    def disturb(module: Any, args: Any, embedded: torch.Tensor) -> torch.Tensor:
        errors = torch.randn(embedded.shape, generator=generator, device=generator.device)
        return (embedded.float() * (1 + errors * 2**-9)).to(embedded.dtype)

    hook = table.register_forward_hook(disturb)
    try:
        yield
    finally:
        hook.remove()


@dataclass
class PreflightChecks:
    """Checks of one policy on one dataset; what they find is added to `findings`."""

    policy: Policy
    """The model, before its first step."""
    dataset: PairDataset
    """The pairs, measured."""
    settings: AlignSettings
    """Which packing is wished for, and whether the training is blind."""
    device: torch.device
    """Where the model is."""
    precision: Any
    """Makes a context in which the model computes as it will in training."""
    exact: bool
    """Whether the arithmetic is float32."""
    findings: list[Finding] = field(default_factory=list)
    """Findings so far."""
    key: str = ""
    """Names model and settings (`probe_key`), by which the process keeps what is measured; empty: nothing is kept."""

    def run(self, trees: Sequence[PairGroup]) -> Packing:
        """Run all checks on a few trees; returns the packing to train with.

        Args:
            trees: all trees of the dataset, from which a sample is taken.

        Raises:
            ModelError: the model cannot be trained rightly on these rows.
        """
        sample = self._sample(trees)
        self._check_thoughts()
        self._check_scored_tokens(sample)
        self._check_borders()
        self._note_unknown_words()
        pictures = self.dataset.lengths["pictures"]
        shape = shape_of((len(tree), self.dataset.size(tree), int(pictures[tree[0]])) for tree in sample)
        known, before = PROBED.find(self.key, shape), len(self.findings)
        if known is None:
            packing = self._run_model(sample)
            known = CheckedModel(shape, packing, tuple(self.findings[before:]))
            PROBED.keep(self.key, known)
        self.findings[before:] = known.findings
        return known.packing

    def _run_model(self, sample: Sequence[PairGroup]) -> Packing:
        """The checks that run the model."""
        tree, _ = self.dataset.batch(sample, "tree")
        separate, _ = self.dataset.batch(sample, "separate")
        tree, separate = tree.to(self.device), separate.to(self.device)
        self._check_picture_tokens(separate)
        self._check_deterministic(separate)
        if separate.pixels and not self.settings.blind:
            self._check_picture_matters(separate)
        return self._choose_packing(tree, separate)

    def measure_pass(self, trees: Sequence[PairGroup]) -> tuple[ForwardCost, float]:
        """What a forward pass keeps, and seconds for each token of a forward and backward pass.

        Activations are checkpointed from here on where the training does so. Trained tensors that get no gradient are
        noted.

        Args:
            trees: what is run, as one batch.
        """
        pictures = self.dataset.lengths["pictures"]
        shown = bool(pictures[trees[0][0]]), bool(pictures.any())
        key = f"{self.key} {self.dataset.packing} {shown}" if self.key else ""
        if (known := PROBED.passes.get(key)) is None:
            before = len(self.findings)
            known = MeasuredPass(*self._measure_pass(trees), tuple(self.findings[before:]))
            if key:
                PROBED.passes[key] = known
        else:
            self.findings += known.findings
            if self.settings.machine.gradient_checkpointing:
                checkpoint_activations(self.policy.model)
        return known.forward, known.seconds

    def _measure_pass(self, trees: Sequence[PairGroup]) -> tuple[ForwardCost, float]:
        batch = self.dataset.batch(trees)[0].to(self.device)
        forward = measure_forward(self.policy, batch, self.precision)
        if self.settings.machine.gradient_checkpointing:
            checkpoint_activations(self.policy.model)
        began = time.perf_counter()
        with self.precision():
            sums = answer_logprobs(self.policy.model, batch, self.policy.family).sums
        sums.mean().backward()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        seconds: float = (time.perf_counter() - began) / sum(map(self.dataset.size, trees))
        idle = [name for name, weight in self.policy.trained().items() if weight.grad is None]
        if idle and (batch.pixels or not self.dataset.lengths["pictures"].any()):
            what = f"{len(idle)} of the trained tensors get no gradient, among them {idle[0]}"
            self.findings.append(Finding("note", what))
        self.policy.model.zero_grad(set_to_none=True)
        return forward, seconds

    def _sample(self, trees: Sequence[PairGroup]) -> list[PairGroup]:
        """The trees with most pairs, most and fewest tokens, most and fewest pictures, and the first; at most two pairs
        of each."""
        pictures = self.dataset.lengths["pictures"]
        size = self.dataset.size
        wanted = [max(trees, key=len), max(trees, key=size), min(trees, key=size), trees[0]]
        wanted += [choose(trees, key=lambda tree: pictures[tree[0]]) for choose in (max, min)]
        return [tree[:2] for tree in dict.fromkeys(wanted)][:SAMPLE]

    def _choose_packing(self, tree: TreeBatch, separate: TreeBatch) -> Packing:
        """Trees where they give the numbers of separate sequences up to rounding, unless the settings decide."""
        wish = self.settings.batching.packing
        if wish == "separate":
            return "separate"
        with torch.no_grad(), self.precision():
            found = parity(self.policy.model, self.policy.family, tree, separate)
            limit = EXACT if self.exact else max(2 * self._rounding(separate), LEAST_ROUNDING)
        difference, unit = (found.logprobs, "relative") if self.exact else (found.nats, "nats")
        measured = f"trees and separate sequences differ by {difference:.1e} {unit}, up to {limit:.1e} is rounding"
        if difference <= limit:
            self.findings.append(Finding("note", f"trees are exact: {measured}"))
            return "tree"
        if wish == "tree":
            raise ModelError(
                f"This model cannot be trained on trees: {measured}.",
                where=self.settings.model,
                try_="align.batching.packing=separate",
            )
        self.findings.append(Finding("warn", f"fell back to separate sequences: {measured}"))
        return "separate"

    def _rounding(self, separate: TreeBatch) -> float:
        """Nats by which an answer moves when its tokens' embeddings are rounded otherwise. The same answers in another
        batch would not do: some kernels round each row alike in any batch."""
        known, most = self._sums(separate), 0.0
        for seed in range(ROUNDINGS):
            with rounded_otherwise(self.policy.model, seed):
                most = max(most, float((self._sums(separate) - known).abs().max()))
        return most

    def _sums(self, batch: TreeBatch) -> torch.Tensor:
        """[A] log-probability of each answer."""
        with torch.no_grad(), self.precision():
            return answer_logprobs(self.policy.model, batch, self.policy.family).sums

    def _check_scored_tokens(self, sample: Sequence[PairGroup]) -> None:
        """The scored tokens, decoded, are the answer: no window is off by one."""
        tokenizer = self.policy.processor.tokenizer
        for numbers in sample:
            packed = self.dataset.tree(numbers)
            for number, (_, answers) in zip(numbers, packed.rows, strict=True):
                pair = self.dataset.pairs[number]
                for index, text in zip(answers, filter(None, self.dataset.texts(number)), strict=True):
                    answer = packed.answers[index]
                    ids = packed.ids[answer.start : answer.stop]
                    self._check_answer_text(pair.pair_id, tokenizer, ids.tolist(), text)

    def _check_answer_text(self, pair_id: str, tokenizer: Any, scored: list[int], text: str) -> None:
        family = self.policy.family
        words = scored[:-1] if scored[-1] in family.end_ids else scored
        decoded = "".join(tokenizer.decode(words).split())
        plain = family.control.break_up(text)
        alone = "".join(tokenizer.decode(tokenizer(plain, add_special_tokens=False)["input_ids"]).split())
        cut = self.dataset.limit is not None and alone.startswith(decoded)
        if decoded != alone and not cut:
            raise ModelError(
                "The tokens that would be scored are not those of the answer.",
                where=f"row {pair_id}: {len(scored)} tokens",
                try_="report this with the name of the checkpoint; its chat template is read wrongly",
            )
        if scored[-1] not in family.end_ids and not cut:
            raise ModelError("An answer has no end token to be scored.", where=f"row {pair_id}")

    def _check_thoughts(self) -> None:
        """Answers are not trained inside a thought, and the marks of a thought are words of the model."""
        family, trains = self.policy.family, self.settings.data.thought == "train"
        if family.opens_thought and trains:
            raise ModelError(
                f"The chat template opens a thought (`{START}`) before every answer, so that the thoughts of the data "
                "would stand inside another one.",
                where=self.settings.model, try_="align.data.thought=drop",
            )  # fmt: skip
        if family.opens_thought:
            what = f"the chat template opens a thought (`{START}`) before answers; they are trained behind an empty one"
            self.findings.append(Finding("warn", what))
        marks = family.processor.tokenizer(f"{START} {END}", add_special_tokens=False)["input_ids"]
        if trains and family.unknown_id in marks:
            raise ModelError(
                f"`{START}` is outside the vocabulary of the model, so that thoughts cannot be marked.",
                where=self.settings.model, try_="align.data.thought=drop",
            )  # fmt: skip

    def _check_borders(self) -> None:
        """Not every answer was tokenised on its own: else prompts are not what they are when the model answers."""
        unstable = self._rows_with("unstable")
        if unstable and len(unstable) == len(self.dataset.pairs) > 1:
            raise ModelError(
                "No conversation starts with the tokens of its own prompt: the chat template writes another prompt "
                "once an answer follows, or the tokenizer joins the end of every prompt with the answer.",
                where=self.settings.model,
                try_="compare the template's texts with and without add_generation_prompt; a line feed may be missing",
            )
        if unstable:
            what = (
                "the tokenizer joins prompt and answer across their border, so answers were tokenised on their own, "
                "as generation would produce them"
            )
            self.findings.append(Finding("note", what, unstable))
        if self.policy.family.appended:
            what = "the tokenizer appends an end token to every text; between prompt and answer it was left out"
            self.findings.append(Finding("note", what))

    def _note_unknown_words(self) -> None:
        if rows := self._rows_with("unknown"):
            unknown = self.policy.processor.tokenizer.unk_token
            what = f"words outside the vocabulary of the model, which reads each as `{unknown}`"
            self.findings.append(Finding("warn", what, rows, "drop the pairs, or take a model that knows the words"))

    def _rows_with(self, doubt: str) -> tuple[str, ...]:
        """Ids of the pairs with a doubt of `LENGTHS`."""
        numbers = np.flatnonzero(self.dataset.lengths[doubt]).tolist()
        return tuple(self.dataset.pairs[number].pair_id for number in numbers)

    def _check_picture_tokens(self, batch: TreeBatch) -> None:
        """As many picture tokens as the vision tower makes of the pictures."""
        with torch.no_grad(), self.precision():
            features = image_features(self.policy.model, batch, self.policy.family)
        wanted = sum(one.numel() // one.shape[-1] for one in features.pooler_output) if features else 0
        given = sum(batch.picture_tokens)
        if given != wanted:
            raise ModelError(
                f"There are {given} picture tokens where the vision tower makes {wanted}.",
                where=self.settings.model,
                try_="check that the processor's files belong to this checkpoint",
            )

    def _check_deterministic(self, batch: TreeBatch) -> None:
        """Two passes over one batch give the same log-probabilities."""
        difference = float((self._sums(batch) - self._sums(batch)).abs().max())
        if difference > (0 if self.device.type == "cpu" else 1e-2):
            raise ModelError(
                f"Two passes over one answer differ by {difference:.1e} nats: some dropout is active.",
                where=self.settings.model,
                try_="set every dropout of the checkpoint's config.json to 0",
            )

    def _check_picture_matters(self, batch: TreeBatch) -> None:
        """Other pixels change the log-probabilities."""
        flipped = {name: -value if value.is_floating_point() else value for name, value in batch.pixels.items()}
        if torch.equal(self._sums(batch), self._sums(replace(batch, pixels=flipped))):
            self.findings.append(
                Finding("warn", "log-probabilities are the same with other pictures: the model ignores them")
            )
