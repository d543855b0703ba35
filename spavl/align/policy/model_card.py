"""The model card of an aligned checkpoint: what it was made from, how, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from huggingface_hub import ModelCard, ModelCardData

from spavl.align.preflight.checks import PreflightReport
from spavl.config.align import AlignSettings
from spavl.config.loss import LossKind

WAYS: Mapping[LossKind, str] = {
    "sigmoid": "DPO", "ipo": "IPO", "hinge": "hinge loss (SLiC)", "robust": "robust DPO", "simpo": "SimPO",
    "orpo": "ORPO", "kto": "KTO", "sft": "SFT on the chosen answers",
}  # fmt: skip
"""What the losses over pairs are called."""


def model_card(settings: AlignSettings, report: PreflightReport, *, step: int, why: str, identity: str) -> str:
    """The `README.md` of a checkpoint or adapter: Markdown with the YAML header that the Hub reads.

    Args:
        settings: the training's settings; those that differ from the defaults are shown.
        report: the preflight report, which counts pairs, pictures and trained weights.
        step: the step or round whose weights were written.
        why: why that one.
        identity: identity of the base model.

    Source:
        https://huggingface.co/docs/hub/model-cards
    """
    on_hub = not settings.model.startswith((".", "/", "miniworld:"))
    data = ModelCardData(
        base_model=settings.model if on_hub else None,
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=list(dict.fromkeys(["safety", "preference-alignment", settings.method, _tag(settings), "spavl"])),
    )
    way = WAYS[settings.loss.kind] if settings.method == "dpo" else settings.method.upper()
    changed = yaml.safe_dump(settings.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)
    card = ModelCard(f"""---
{data.to_yaml()}
---
# {settings.model.rsplit("/", 1)[-1]}, aligned by {way}

A vision-language model aligned with {report.pairs:,} preference pairs on {report.pictures:,} pictures, with spavl.
Weights of step {step}: {why}.

- Base model: `{settings.model}` (`{identity}`)
- Trained: {", ".join(f"{part} ({count:,} weights)" for part, count in report.trained.items() if count)}
- Everything else is as in the base model, to the bit.

Settings that differ from the defaults:

```yaml
{changed}```

**Use.** Research on, and deployment of, safer vision-language models. A lower rate of unsafe answers on one benchmark
is not safety: measure on your own pictures, over-refusal and skill included (`spavl evaluate --model THIS_FOLDER`). The
licence of the base model and of the pairs' pictures hold for these weights.
""")
    return str(card)


def _tag(settings: AlignSettings) -> str:
    """What the Hub finds the model by: the loss over pairs, or the method."""
    own = settings.method == "dpo" and settings.loss.kind != "sigmoid"
    return settings.loss.kind if own else settings.method
