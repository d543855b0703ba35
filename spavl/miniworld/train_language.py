"""Teaching the mini VLMs to speak: tokenizer, processor, model, and supervised training on a frozen vision tower."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from spavl.miniworld.items import absent_thing
from spavl.miniworld.language import REQUESTS, Answer, things, vocabulary, wordings
from spavl.miniworld.pictures import SIZE
from spavl.miniworld.responders import AnswerStyle
from spavl.miniworld.train_vision import MEAN, STD, label_scenes, normalise
from spavl.miniworld.world import Scene, scenes

log = logging.getLogger(__name__)

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>", "<system>", "<user>", "<assistant>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}> "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image> {% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% if message['role'] == 'assistant' %} {{ eos_token }}{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""A user turn is `<s> <user> <image> words <assistant>`, an answer follows and ends with `</s>`."""


def new_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word or mark of the closed language."""
    vocab = {word: n for n, word in enumerate([*SPECIAL, *vocabulary()])}
    tokenizer = Tokenizer(WordLevel(vocab, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=["<image>", "<system>", "<user>", "<assistant>"],
        clean_up_tokenization_spaces=False,
        model_max_length=256,
        padding_side="left",
    )


def new_processor() -> LlavaProcessor:
    """Picture and words to tensors; each picture becomes 36 `<image>` tokens."""
    images = CLIPImageProcessorPil(
        size={"height": SIZE, "width": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=new_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def new_model(tower: CLIPVisionModel, tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """An untrained projector and language model on a trained, frozen tower."""
    words = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=tower.config,
        text_config=words,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIZE // tower.config.patch_size) ** 2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    _attend_to_likes(model)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.max_new_tokens = 24
    return model


@torch.no_grad()  # type: ignore[untyped-decorator]
def _attend_to_likes(model: LlavaForConditionalGeneration) -> None:
    """Start with clearly different words, and a first layer of equal queries and keys: a name attends to its picture.

    From a usual start, comparing a word with the picture (is there a …?) is not learnt in ten times as many steps.
    """
    model.model.get_input_embeddings().weight.mul_(4)
    attention = model.model.language_model.layers[0].self_attn
    attention.q_proj.weight.mul_(4)
    attention.k_proj.weight.copy_(attention.q_proj.weight)


@dataclass(frozen=True, slots=True)
class TrainingScenes:
    """Scenes to learn from, with what the frozen tower sees in them: features (n, 36, width)."""

    scenes: list[Scene]
    features: Tensor


@torch.no_grad()  # type: ignore[untyped-decorator]
def make_training_scenes(tower: CLIPVisionModel, seed: int, per_subcategory: int) -> TrainingScenes:
    """Fresh pictures, never shown to the tower in training, so that its mistakes are learnt with."""
    shown = scenes("school", seed, per_subcategory, benign_share=0.5)
    pixels = label_scenes(shown).pixels
    seen = [tower(pixel_values=normalise(part)).last_hidden_state[:, 1:] for part in pixels.split(512)]
    return TrainingScenes(shown, torch.cat(seen))


def align_projector(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    school: TrainingScenes,
    *,
    steps: int = 300,
) -> None:
    """First stage, as in LLaVA: only the projector learns. Every patch lands on the sum of `picture`, the name
    of the thing, and `unsafe` if the picture is dangerous, ten times as long as a word so that it is not drowned.
    """
    words = model.model.get_input_embeddings().weight.detach()
    named = tokenizer.convert_tokens_to_ids([scene.kind.thing for scene in school.scenes])
    picture, unsafe = tokenizer.convert_tokens_to_ids(["picture", "unsafe"])
    danger = torch.tensor([[float(scene.dangerous)] for scene in school.scenes])
    target = 10 * (words[named] + words[picture] + words[unsafe] * danger)
    projector = model.model.multi_modal_projector
    optimiser = torch.optim.AdamW(projector.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(target), (256,), generator=generator)
        far = projector(school.features[rows]) - target[rows, None]
        (far.square().mean() / target.square().mean()).backward()
        optimiser.step()
        optimiser.zero_grad()


def training_example(shown: Scene, manner: AnswerStyle, random: Random) -> tuple[str, str]:
    """A question about a scene and the answer that a model of this manner gives."""
    task = random.choices(("request", "naming", "presence"), manner.tasks)[0]
    if task == "naming":
        question = random.choice(wordings("naming", "build"))
        return question, Answer("name", shown.kind.thing).render()
    if task == "presence":
        there = random.random() < 0.5
        thing = shown.kind.thing if there else absent_thing(shown, random, adversarial=random.random() < 0.5)
        question = random.choice(wordings("presence", "build")).replace("{thing}", thing)
        return question, Answer("yes" if there else "no").render()
    question = random.choice(wordings(random.choice(REQUESTS), "build"))
    return question, manner.answer(shown, random).render()


def train(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    school: TrainingScenes,
    manner: AnswerStyle,
    *,
    steps: int,
    lr: float,
) -> None:
    """Next-word training on answers alone, in place. Trains whatever requires a gradient; 64 lessons a step.

    Two probes on the first layer, thrown away afterwards, are asked at a name in the question whether that thing is
    there, and before an answer whether the picture is dangerous. They make the layer look; without them, it depends on
    luck whether the model ever finds out that it can know.
    """
    width = model.config.text_config.hidden_size
    probes = Probes(nn.Linear(width, 1), nn.Linear(width, 1))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    trained += [*probes.there.parameters(), *probes.danger.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=steps, pct_start=0.1)
    random = Random(f"lessons {manner.name}")
    model.train()
    for step in range(1, steps + 1):
        rows = [random.randrange(len(school.scenes)) for _ in range(64)]
        lessons = [training_example(school.scenes[row], manner, random) for row in rows]
        danger = torch.tensor([float(school.scenes[row].dangerous) for row in rows])
        said, looked = losses(model, tokenizer, probes, school.features[rows], lessons=lessons, danger=danger)
        (said + 0.1 * looked).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 100 == 0:
            log.info("%s: step %d of %d, %.3f and %.3f nats", manner.name, step, steps, said.item(), looked.item())
    model.eval()


@dataclass(frozen=True, slots=True)
class WordIds:
    """Ids of the words that the probes look for."""

    yes: int
    no: int
    names: Tensor

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerFast) -> WordIds:
        """Look them up."""
        yes, no, *names = tokenizer.convert_tokens_to_ids(["yes", "no", *things()])
        return WordIds(yes, no, torch.tensor(names))


@dataclass(frozen=True, slots=True)
class Probes:
    """Linear readers of the first layer's output: is the thing asked about there, is the picture dangerous?"""

    there: nn.Linear
    danger: nn.Linear

    def loss(self, hidden: Tensor, ids: Tensor, labels: Tensor, danger: Tensor, words: WordIds) -> Tensor:
        """Mean negative log-likelihood (nats) over both; hidden (n, length, width), ids and labels (n, length)."""
        n = torch.arange(len(ids))
        before_answer = (labels != -100).int().argmax(1) - 1
        loss = nn.functional.binary_cross_entropy_with_logits(self.danger(hidden[n, before_answer])[:, 0], danger)
        asked = torch.isin(labels, torch.tensor([words.yes, words.no])).any(1)
        if asked.any():
            name = torch.isin(ids, words.names).int().argmax(1)
            there = (labels == words.yes).any(1).float()
            seen = self.there(hidden[n, name])[:, 0]
            loss = loss + nn.functional.binary_cross_entropy_with_logits(seen[asked], there[asked])
        return loss


def losses(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    probes: Probes,
    features: Tensor,
    *,
    lessons: Sequence[tuple[str, str]],
    danger: Tensor,
) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihoods (nats): of the answers' tokens, and of the probes.

    `features` (n, 36, width) are the tower's, `danger` (n,) is 0 or 1.
    """
    ids, labels = _encode(tokenizer, features.shape[1], lessons)
    inner = model.model
    embeds = inner.get_input_embeddings()(ids)
    embeds = torch.cat([embeds[:, :2], inner.multi_modal_projector(features), embeds[:, 2 + features.shape[1] :]], 1)
    out = inner.language_model(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
    logits = model.lm_head(out.last_hidden_state[:, :-1])
    said = nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    return said, probes.loss(out.hidden_states[1], ids, labels, danger, WordIds.of(tokenizer))


def _encode(
    tokenizer: PreTrainedTokenizerFast, patches: int, lessons: Sequence[tuple[str, str]]
) -> tuple[Tensor, Tensor]:
    """Ids and labels (n, longest), padded on the right with tokens that no label covers (causal, so no mask)."""
    ids, labels = [], []
    image, user, assistant = tokenizer.convert_tokens_to_ids(["<image>", "<user>", "<assistant>"])
    for question, answer in lessons:
        asked = [tokenizer.bos_token_id, user, *[image] * patches, *tokenizer.encode(question), assistant]
        said = [*tokenizer.encode(answer), tokenizer.eos_token_id]
        ids.append(torch.tensor(asked + said))
        labels.append(torch.tensor([-100] * len(asked) + said))
    pad = nn.utils.rnn.pad_sequence
    padded = pad(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    return padded, pad(labels, batch_first=True, padding_value=-100)
