"""Our LoRA layer gives the numbers of peft's own, forward and backward, and is stored as peft's own."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from spavl.align.policy.lora import LoraLinear


def layer(ours, *, bias=True, dtype=torch.float32):
    """A linear layer 6 → 4 with an adapter of rank 2 in which neither half is zero."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=3.0, target_modules=["0"])
    if ours:
        config._register_custom_module({nn.Linear: LoraLinear})
    model = get_peft_model(nn.Sequential(nn.Linear(6, 4, bias=bias, dtype=dtype)), config)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape)
    return model


def output_and_gradients(model, x, autocast):
    """Output and gradients of the input and of both halves."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = model(x)
    halves = [weight for name, weight in model.named_parameters() if "lora_" in name]
    return [y, *torch.autograd.grad((y * torch.arange(1.0, 5.0)).sum(), [x, *halves])]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("dtype", "autocast", "near"),
    [(torch.float32, False, 1e-6), (torch.float32, True, 2e-2), (torch.bfloat16, True, 2e-2)],
)
def test_output_and_gradients_are_pefts_own(bias, dtype, autocast, near):
    x = torch.randn(2, 3, 6, requires_grad=True)
    mine, other = (output_and_gradients(layer(ours, bias=bias, dtype=dtype), x, autocast) for ours in (True, False))
    assert isinstance(layer(True).base_model.model[0], LoraLinear)
    for one, another in zip(mine, other, strict=True):
        assert one.dtype == another.dtype and one.shape == another.shape
        assert (one - another).abs().max() <= near * another.abs().max()


def test_switched_off_it_is_the_layer_beneath():
    model, x = layer(True), torch.randn(3, 6)
    with model.disable_adapter():
        assert torch.equal(model(x), model.base_model.model[0].base_layer(x))
    assert not torch.equal(model(x), model.base_model.model[0].base_layer(x))


def test_merged_it_gives_the_same():
    model, x = layer(True), torch.randn(3, 6)
    assert torch.allclose(model(x), model.merge_and_unload()(x), atol=1e-6)


def test_it_is_stored_under_the_names_of_pefts_own():
    assert layer(True).state_dict().keys() == layer(False).state_dict().keys()


def test_an_active_adapter_that_this_layer_lacks_leaves_it_as_it_is():
    model, x = layer(True), torch.randn(3, 6)
    model.base_model.model[0]._active_adapter = "another"
    assert torch.equal(model(x), model.base_model.model[0].base_layer(x))
