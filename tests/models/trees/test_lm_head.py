"""The head that computes log-probabilities without holding all logits: torch's own values and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spavl.models.trees.lm_head import logprobs_at, tokens_at_once


def reference(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities from all logits at once."""
    logits = torch.nn.functional.linear(hidden, weight).float()
    return torch.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]


def random_inputs(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states [N, 5], a head [11, 5], targets [N]."""
    noise = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 5, generator=noise) * 3
    weight = torch.randn(11, 5, generator=noise)
    return hidden, weight, torch.randint(0, 11, (tokens,), generator=noise)


def gradients(found: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Gradients of a sum with a different weight for every token."""
    return list(torch.autograd.grad((found * torch.arange(1, len(found) + 1)).sum(), inputs))


@given(st.integers(1, 20), st.integers(1, 300), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_values_and_gradients_are_torchs_own_however_it_is_chunked(
    tokens: int, chunk: int, head_is_trained: bool, seed: int
) -> None:
    hidden, weight, targets = random_inputs(tokens, seed)
    inputs = [hidden.requires_grad_(), *([weight.requires_grad_()] if head_is_trained else [])]
    found, expected = logprobs_at(hidden, weight, targets, chunk=chunk), reference(hidden, weight, targets)
    assert torch.allclose(found, expected, atol=1e-5)
    for mine, other in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
        assert torch.allclose(mine, other, atol=1e-3, rtol=1e-4)


def test_a_chunk_has_fewer_tokens_of_a_larger_vocabulary_and_on_a_processor_never_too_few_for_a_product() -> None:
    assert [tokens_at_once(vocabulary, on_gpu=False) for vocabulary in (8_000, 49_152, 262_144)] == [524, 192, 192]
    assert [tokens_at_once(vocabulary, on_gpu=True) for vocabulary in (32_064, 1 << 26)] == [1046, 1]


def test_a_sure_target_has_a_gradient_that_is_small_but_right() -> None:
    """The derivative is a difference of two nearly equal numbers if it is taken in the wrong order."""
    weight = torch.eye(3)
    hidden = torch.tensor([[12.0, 0.0, 0.0]], requires_grad=True)
    (found,) = torch.autograd.grad(logprobs_at(hidden, weight, torch.tensor([0])).sum(), hidden)
    assert found[0, 1].item() == pytest.approx(-6.144e-6, rel=1e-3)


def test_logits_far_from_zero_do_not_overflow() -> None:
    hidden, weight, targets = random_inputs(4)
    found = logprobs_at(hidden * 1e4, weight, targets)
    assert torch.isfinite(found).all() and torch.allclose(found, reference(hidden * 1e4, weight, targets), rtol=1e-5)


@pytest.mark.parametrize("head_is_trained", [False, True])
def test_under_autocast_logits_have_its_number_format(head_is_trained: bool) -> None:
    hidden, weight, targets = random_inputs(6)
    inputs = [hidden.requires_grad_(), *([weight.requires_grad_()] if head_is_trained else [])]
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = logprobs_at(hidden, weight, targets), reference(hidden, weight, targets)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, reference(hidden, weight, targets), atol=1e-5), "autocast made a difference"
    for mine, other in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
        assert mine.dtype == torch.float32
        assert torch.allclose(mine, other, atol=0.05 * other.abs().max().item())


def test_without_gradients_nothing_is_kept_for_them() -> None:
    hidden, weight, targets = random_inputs(6)
    assert logprobs_at(hidden, weight, targets).grad_fn is None
