"""Before the first step: is the model trained on what the data says, and does every shortcut give the same numbers?

Every check is on real rows of this data with this model. What may come out wrong without any error elsewhere — answers
scored at the wrong tokens, trees that see too much, a picture that never arrives, a layer that drops out — is measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from spavl.align.data.batches import PairDataset
from spavl.align.data.schedule import PairGroup
from spavl.align.data.validate import Finding
from spavl.align.policy.policy import Policy
from spavl.align.preflight.estimate import Estimate
from spavl.config.align import AlignSettings
from spavl.errors import ModelError
from spavl.models.trees.batch import Packing, TreeBatch
from spavl.models.trees.parity import parity
from spavl.models.trees.score import answer_logprobs, image_features

EXACT = 1e-4
"""Largest relative difference of an answer's log-probability between layouts, in float32."""
SAMPLE = 4
"""Trees that are looked at closely."""


@dataclass(frozen=True)
class PreflightReport:
    """What the doctor found and expects."""

    pairs: int
    pictures: int
    trained: Mapping[str, int]
    """Trained weights by part."""
    packing: Packing
    findings: tuple[Finding, ...] = ()
    estimate: Estimate | None = None

    def render(self) -> str:
        """The findings as a person reads them."""
        parts = ", ".join(f"{part} {count:,}" for part, count in self.trained.items() if count)
        lines = [
            f"{self.pairs:,} pairs on {self.pictures:,} pictures · trained weights: {parts} · layout: {self.packing}"
        ]
        if self.estimate:
            lines.append(self.estimate.render())
        return "\n".join(lines + [finding.render() for finding in self.findings])


@dataclass
class PreflightChecks:
    """Looks at one policy with one feed."""

    policy: Policy
    dataset: PairDataset
    settings: AlignSettings
    device: torch.device
    precision: Any
    """Makes a context in which the model computes as it will in training."""
    exact: bool
    """The arithmetic is float32."""
    findings: list[Finding] = field(default_factory=list)

    def examine(self, trees: Sequence[PairGroup]) -> Packing:
        """All checks on a few trees. Returns the layout to train with; raises ModelError where none is right."""
        sample = self._sample(trees)
        tree, _ = self.dataset.batch(sample, "tree")
        separate, _ = self.dataset.batch(sample, "separate")
        tree, separate = tree.to(self.device), separate.to(self.device)
        self._words(sample)
        self._borders(trees)
        self._picture_tokens(separate)
        self._same_twice(separate)
        if not self.settings.blind:
            self._picture_matters(separate)
        return self._layout(sample, tree, separate)

    def step(self, trees: Sequence[PairGroup]) -> float:
        """Forward and backward over some trees, timed: seconds a token. Names what is trained and gets no gradient."""
        batch = self.dataset.batch(trees)[0].to(self.device)
        began = time.perf_counter()
        with self.precision():
            sums = answer_logprobs(self.policy.model, batch, self.policy.family).sums
        sums.mean().backward()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        seconds: float = (time.perf_counter() - began) / sum(map(self.dataset.size, trees))
        idle = [name for name, weight in self.policy.trained().items() if weight.grad is None]
        if idle:
            what = f"{len(idle)} of the trained tensors get no gradient, among them {idle[0]}"
            self.findings.append(Finding("note", what))
        self.policy.model.zero_grad(set_to_none=True)
        return seconds

    def _sample(self, trees: Sequence[PairGroup]) -> list[PairGroup]:
        """The tree with most pairs, the longest, the shortest, and the first; two pairs of each at most."""
        wanted = [max(trees, key=len), max(trees, key=self.dataset.size), min(trees, key=self.dataset.size), trees[0]]
        return [tree[:2] for tree in dict.fromkeys(wanted)][:SAMPLE]

    def _layout(self, sample: Sequence[PairGroup], tree: TreeBatch, separate: TreeBatch) -> Packing:
        wish = self.settings.batching.packing
        if wish == "separate":
            return "separate"
        with torch.no_grad(), self.precision():
            found = parity(self.policy.model, self.policy.family, tree, separate)
            noise = self._noise(sample, separate)
        apart = found.nats if noise else found.logprobs
        limit = 5 * noise if noise else EXACT
        unit = "nats" if noise else "relative"
        said = f"trees and separate sequences differ by {apart:.1e} {unit}, up to {limit:.1e} is rounding"
        if apart <= limit:
            self.findings.append(Finding("note", f"trees are exact: {said}"))
            return "tree"
        if wish == "tree":
            raise ModelError(
                f"This model cannot be trained on trees: {said}.",
                where=self.settings.model,
                try_="align.batching.packing=separate",
            )
        self.findings.append(Finding("warn", f"fell back to separate sequences: {said}"))
        return "separate"

    def _noise(self, sample: Sequence[PairGroup], separate: TreeBatch) -> float:
        """Nats by which an answer differs from itself in another batch; 0 in float32, where `EXACT` holds."""
        if self.exact:
            return 0.0
        alone = [self.dataset.batch([tree], "separate")[0].to(self.device) for tree in sample]
        if self.dataset.corruption is not None:
            return 0.5
        apart = torch.cat([self._sums(one) for one in alone]) - self._sums(separate)
        return max(float(apart.abs().max()), 1e-2)

    def _sums(self, batch: TreeBatch) -> torch.Tensor:
        with torch.no_grad(), self.precision():
            return answer_logprobs(self.policy.model, batch, self.policy.family).sums

    def _words(self, sample: Sequence[PairGroup]) -> None:
        """The tokens that are scored, read back, are the answer: no window is off by one."""
        tokenizer = self.policy.processor.tokenizer
        for numbers in sample:
            packed = self.dataset.tree(numbers)
            for number, (_, answers) in zip(numbers, packed.rows, strict=True):
                pair = self.dataset.pairs[number]
                for place, text in zip(answers, (pair.chosen, pair.rejected), strict=True):
                    answer = packed.answers[place]
                    ids = packed.ids[answer.start : answer.stop]
                    self._same_words(pair.pair_id, tokenizer, ids.tolist(), text)

    def _same_words(self, pair_id: str, tokenizer: Any, scored: list[int], text: str) -> None:
        read = "".join(tokenizer.decode(scored, skip_special_tokens=True).split())
        alone = "".join(tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]).split())
        cut = self.dataset.limit is not None and alone.startswith(read)
        if read != alone and not cut:
            raise ModelError(
                "The tokens that would be scored are not those of the answer.",
                where=f"row {pair_id}: {len(scored)} tokens",
                try_="report this with the name of the checkpoint; its chat template is read wrongly",
            )
        if scored[-1] not in self.policy.family.end_ids and not cut:
            raise ModelError("An answer has no end token to be scored.", where=f"row {pair_id}")

    def _borders(self, trees: Sequence[PairGroup]) -> None:
        apart = [number for numbers in trees if self.dataset.tree(numbers).unstable for number in numbers]
        if apart:
            self.findings.append(
                Finding(
                    "note",
                    "the tokenizer joins prompt and answer across their border, so answers were tokenised on their "
                    "own, as generation would produce them",
                    tuple(self.dataset.pairs[number].pair_id for number in apart),
                )
            )

    def _picture_tokens(self, batch: TreeBatch) -> None:
        """As many picture tokens as the tower makes of the pictures."""
        with torch.no_grad(), self.precision():
            made = image_features(self.policy.model, batch, self.policy.family).pooler_output
        wanted = sum(one.numel() // one.shape[-1] for one in made)
        given = sum(batch.picture_tokens)
        if given != wanted:
            raise ModelError(
                f"There are {given} picture tokens where the vision tower makes {wanted}.",
                where=self.settings.model,
                try_="check that the processor's files belong to this checkpoint",
            )

    def _same_twice(self, batch: TreeBatch) -> None:
        apart = float((self._sums(batch) - self._sums(batch)).abs().max())
        if apart > (0 if self.device.type == "cpu" else 1e-2):
            raise ModelError(
                f"The model says two things about one answer ({apart:.1e} nats apart): something drops out.",
                where=self.settings.model,
                try_="set every dropout of the checkpoint's config.json to 0",
            )

    def _picture_matters(self, batch: TreeBatch) -> None:
        flipped = {name: -value if value.is_floating_point() else value for name, value in batch.pixels.items()}
        if torch.equal(self._sums(batch), self._sums(replace(batch, pixels=flipped))):
            self.findings.append(
                Finding("warn", "the model says the same with other pictures: it does not look at them")
            )


def trained_counts(policy: Policy) -> dict[str, int]:
    """Trained weights by part."""
    return {part: weights.trained for part, weights in policy.counts.items()}
