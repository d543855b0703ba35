"""What a frozen tower gives, kept and given back: same log-probabilities, same gradients of the projector."""

import pytest
import torch
from transformers.models.llava import LlavaConfig

from spavl.align.policy.policy import make_policy
from spavl.config.align import FreezeSettings
from spavl.models.trees.batch import collate
from spavl.models.trees.pack import build_trees, pack_tree
from spavl.models.trees.score import answer_logprobs, image_features
from spavl.models.trees.tower import encode, gives_back, tower_fingerprint, unwrapped
from tests.families import CASES, Case, build, llava, rows

ONE_EACH = [
    name
    for name in CASES
    if name not in ("llava+mistral", "llava+phi3", "llava_next+llama", "internvl+qwen3")  # other language models
]


def policy_of(case, **freeze):
    """A policy whose tower is frozen and whose projector is trained."""
    return make_policy(*build(case), FreezeSettings(rank=2, alpha=4, **freeze))


def batches(policy, packing="tree"):
    """The same trees with pixels, and with features."""
    family = policy.family
    trees = [pack_tree(tree, family) for tree in build_trees(rows(), by="picture")]
    shown = {picture.key: picture for tree in trees for picture in tree.pictures}
    kept = {key: encode(policy.model, family, family.pixels([picture.load()])) for key, picture in shown.items()}
    return collate(trees, family, packing), collate(trees, family, packing, pixels=kept, encoded=True)


def scored(policy, batch):
    """Log-probabilities, and the gradients of everything trained."""
    policy.model.zero_grad()
    scores = answer_logprobs(policy.model, batch, policy.family)
    scores.sums.mean().backward()
    return scores.logprobs.detach(), {name: weight.grad.clone() for name, weight in policy.trained().items()}


@pytest.mark.parametrize("packing", ["tree", "separate"])
@pytest.mark.parametrize("name", ONE_EACH)
def test_log_probabilities_and_gradients_are_those_of_the_live_tower(name, packing):
    policy = policy_of(CASES[name])
    live, cached = (scored(policy, batch) for batch in batches(policy, packing))
    assert (live[0] - cached[0]).abs().max() <= 1e-6
    assert any(policy.part_of(weight) == "projector" and grad.abs().max() > 0 for weight, grad in live[1].items())
    for weight, grad in live[1].items():
        torch.testing.assert_close(cached[1][weight], grad, rtol=1e-4, atol=1e-6)


def several_layers():
    """A LLaVA whose projector reads three layers."""
    model, processor = llava()
    config = LlavaConfig(**{**model.config.to_dict(), "vision_feature_layer": [-1, 0, -2]})
    return type(model)(config), processor


def test_several_layers_are_given_back_each_in_its_place():
    policy = policy_of(Case("llava, three layers", several_layers, slides=False, sizes=False))
    live, cached = (scored(policy, batch) for batch in batches(policy))
    assert (live[0] - cached[0]).abs().max() <= 1e-6


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_the_tower_does_not_run_on_features_and_runs_again_afterwards(name):
    policy = policy_of(CASES[name])
    live, cached = batches(policy)
    vision = unwrapped(policy.model).get_submodule(policy.family.facts.vision[0])
    ran = []
    layer = next(module for module in vision.modules() if isinstance(module, torch.nn.ModuleList))[0]
    layer.register_forward_hook(lambda *_: ran.append(1))
    image_features(policy.model, cached, policy.family)
    answer_logprobs(policy.model, cached, policy.family)
    assert not ran
    answer_logprobs(policy.model, live, policy.family)
    assert ran


def test_a_tower_is_itself_again_when_a_pass_fails():
    policy = policy_of(CASES["llava"])
    tower = unwrapped(policy.model).get_submodule("model.vision_tower")
    with pytest.raises(RuntimeError), gives_back(policy.model, policy.family):
        raise RuntimeError
    assert "forward" not in vars(tower)


def test_models_share_a_fingerprint_exactly_where_their_tower_and_processor_are_one(monkeypatch):
    policy = policy_of(CASES["llava"])
    known = tower_fingerprint(policy.model, policy.family, "float32")
    with torch.no_grad():
        next(weight for name, weight in policy.trained().items() if policy.part_of(name) == "projector").add_(1)
    assert tower_fingerprint(policy.model, policy.family, "float32") == known, "what stands behind it does not count"
    assert tower_fingerprint(policy.model, policy.family, "bfloat16") != known
    for library in ("spavl", "transformers", "PIL"):
        with monkeypatch.context() as newer:
            newer.setattr(f"{library}.__version__", "999")
            assert tower_fingerprint(policy.model, policy.family, "float32") != known, library
    processor = policy.family.processor.image_processor
    before, processor.image_mean = processor.image_mean, [0.1, 0.2, 0.3]
    assert tower_fingerprint(policy.model, policy.family, "float32") != known
    processor.image_mean = before
    with torch.no_grad():
        next(unwrapped(policy.model).get_submodule("model.vision_tower").parameters()).view(-1)[0] += 1e-3
    assert tower_fingerprint(policy.model, policy.family, "float32") != known
