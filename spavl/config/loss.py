"""Settings of the loss over pairs, and which of them each loss reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from spavl.config.base import Section

LossKind = Literal["sigmoid", "ipo", "hinge", "robust", "simpo", "orpo", "kto", "sft"]
"""The losses over pairs."""
KINDS: tuple[LossKind, ...] = get_args(LossKind)
"""All of them."""
AnswersRead = Literal["pairs", "chosen", "unpaired"]
"""What of the pairs a loss reads: both answers, compared with each other; the chosen answers alone; every answer on
its own, so that rows of one answer will do."""
_WITH_REFERENCE = ("beta", "length_normalised", "sft_anchor", "image_conditional", "image_anchor", "corruption")
_OF_DPO = ("label_smoothing", *_WITH_REFERENCE)
READ: Mapping[LossKind, tuple[str, ...]] = {
    "sigmoid": _OF_DPO,
    "ipo": _WITH_REFERENCE,
    "hinge": _WITH_REFERENCE,
    "robust": _OF_DPO,
    "simpo": ("beta", "gamma", "sft_anchor"),
    "orpo": ("beta",),
    "kto": ("beta", "desirable_weight", "undesirable_weight", "sft_anchor"),
    "sft": (),
}
"""The settings that each loss reads, beside its kind: these decide its weights, and no others."""


class LossSettings(Section):
    """The loss over pairs. Formulas with their sources: `spavl.align.losses`; docs/methods/losses.md compares them."""

    kind: LossKind = "sigmoid"
    """Against the model before training: `sigmoid`, DPO (eq. 7 of arXiv 2305.18290); `ipo` (eq. 17 of arXiv 2310.12036,
    per token as its authors have it); `hinge` (SLiC, arXiv 2305.10425); `robust`, for wrong labels (arXiv 2403.00409);
    `kto`, every answer on its own (arXiv 2402.01306). Without a reference: `simpo` (arXiv 2405.14734), `orpo` (arXiv
    2403.07691), and `sft`, the likelihood of the chosen answers alone."""
    beta: PositiveFloat = 0.1
    """How closely the model is held to the reference, larger is closer; for `ipo` the paper's tau, for `simpo` the
    scale of the margin (2 to 10, and to be set), for `orpo` lambda, the weight of the odds ratio. `sft` reads none."""
    gamma: NonNegativeFloat = 1.0
    """`simpo`: the margin that is wanted, in units of the scaled one; half of `beta` is a good start."""
    desirable_weight: PositiveFloat = 1.0
    """`kto`: lambda_D, weight of the answers that are wanted. Where they are rarer than the others, as much larger."""
    undesirable_weight: PositiveFloat = 1.0
    """`kto`: lambda_U, weight of the answers that are not wanted."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of pairs thought to be labelled the wrong way round: `sigmoid` (conservative DPO) and `robust`, which needs
    it."""
    length_normalised: bool = False
    """`sigmoid`, `hinge`, `robust`: divide an answer's log-probability by its tokens; `ipo`, `simpo` and `orpo` always
    do."""
    sft_anchor: NonNegativeFloat = 0.0
    """Weight of NLL(chosen)/tokens, added to the loss. 0.2 keeps skills that plain DPO loses. With `kto` an answer that
    is not wanted counts as 0 in it, so it weighs less where these are many."""
    image_conditional: NonNegativeFloat = 0.0
    """Weight of mDPO's term (arXiv 2406.11839): the chosen answer must be likelier with its picture than
    with a corrupted one."""
    image_anchor: NonNegativeFloat = 0.0
    """Weight of mDPO's anchor: the chosen answer must not become less likely than in the reference."""
    corruption: Literal["crop", "blank"] = "crop"
    """How the picture is corrupted for `image_conditional`: `crop` to at most a fifth of its area, or `blank` (one
    grey)."""

    @model_validator(mode="after")
    def _sets_what_it_reads(self) -> LossSettings:
        changed = self.model_dump(exclude_defaults=True)
        for name in changed.keys() - {"kind", "beta", *READ[self.kind]}:
            raise ValueError(f"`{self.kind}` does not read `{name}`: {_who_reads(name)}")
        if self.kind == "robust" and not self.label_smoothing:
            raise ValueError("`robust` needs `label_smoothing`, the share of pairs labelled the wrong way round")
        if self.kind == "simpo" and "beta" not in changed:
            raise ValueError("`simpo` needs a `beta` of its own, 2 to 10: it scales a mean over tokens, not a sum")
        return self

    @property
    def has_reference(self) -> bool:
        """Whether log-probabilities of the model before training are needed."""
        return self.kind not in ("simpo", "orpo", "sft")

    @property
    def answers(self) -> AnswersRead:
        """What of the pairs is read."""
        return "unpaired" if self.kind == "kto" else "chosen" if self.kind == "sft" else "pairs"

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide what is learnt, as JSON: two losses that differ in others are the same."""
        always = ["label_smoothing"] if self.kind == "ipo" else []  # its records had it when it was read by none
        return self.model_dump(mode="json", include={"kind", *READ[self.kind], *always})


def _who_reads(name: str) -> str:
    kinds = [f"`{kind}`" for kind, read in READ.items() if name in read]
    return f"{', '.join(kinds)} {'does' if len(kinds) == 1 else 'do'}"
