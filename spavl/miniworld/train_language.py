"""The mini VLMs: tokenizer, processor and model, and their supervised fine-tuning on a frozen vision tower."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Float, Int
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
"""Chat template: a user turn is `<s> <user> <image> words <assistant>`; the answer follows and ends with `</s>`."""


def new_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token for every word or mark of the closed language."""
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
    """A processor of pictures and text; each picture becomes 36 `<image>` tokens."""
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
    """A LLaVA with an untrained projector and language model on a trained, frozen vision tower.

    Args:
        tower: the vision tower, whose weights are copied.
        tokenizer: gives the size of the vocabulary and the special tokens.
    """
    text_config = LlamaConfig(
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
        text_config=text_config,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIZE // tower.config.patch_size) ** 2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    _attend_to_equal_embeddings(model)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.max_new_tokens = 24
    return model


@torch.no_grad()  # type: ignore[untyped-decorator]
def _attend_to_equal_embeddings(model: LlavaForConditionalGeneration) -> None:
    """Initialise the first layer with equal queries and keys, so that a name attends to patches that look like it.

    Word embeddings are scaled up to differ clearly. From the usual initialisation, comparing a word with the picture
    (is there a …?) is not learnt in ten times as many steps.
    """
    model.model.get_input_embeddings().weight.mul_(4)
    attention = model.model.language_model.layers[0].self_attn
    attention.q_proj.weight.mul_(4)
    attention.k_proj.weight.copy_(attention.q_proj.weight)


@dataclass(frozen=True, slots=True)
class TrainingScenes:
    """Scenes to train the language model on, with their image features."""

    scenes: list[Scene]
    """What the pictures show."""
    features: Float[Tensor, "N P D"]
    """Features of every picture's P patches: the frozen tower's last hidden state, without its class token."""


@torch.no_grad()  # type: ignore[untyped-decorator]
def make_training_scenes(tower: CLIPVisionModel, seed: int, per_subcategory: int) -> TrainingScenes:
    """Scenes that the tower was not trained on, so that the language model learns with the tower's real errors.

    Args:
        tower: the trained, frozen vision tower.
        seed: of the scenes.
        per_subcategory: scenes of every subcategory.
    """
    shown = scenes("school", seed, per_subcategory, benign_share=0.5)  # the split's name is part of the seed
    pixels = label_scenes(shown).pixels
    features = [tower(pixel_values=normalise(part)).last_hidden_state[:, 1:] for part in pixels.split(512)]
    return TrainingScenes(shown, torch.cat(features))


def align_projector(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    training_scenes: TrainingScenes,
    *,
    steps: int = 300,
) -> None:
    """First stage of LLaVA's training, in place: only the projector learns (https://arxiv.org/abs/2304.08485, §4.2).

    Every patch is to become the sum of the embeddings of `picture`, of the thing's name, and of `unsafe` if the picture
    is dangerous, ten times as long as a word's embedding so that it stands out.

    Args:
        model: whose projector is trained, by its mean squared error.
        tokenizer: of the model.
        training_scenes: scenes with their image features.
        steps: optimiser steps of 256 pictures.
    """
    embeddings = model.model.get_input_embeddings().weight.detach()
    thing_ids = tokenizer.convert_tokens_to_ids([scene.kind.thing for scene in training_scenes.scenes])
    picture, unsafe = tokenizer.convert_tokens_to_ids(["picture", "unsafe"])
    danger = torch.tensor([[float(scene.dangerous)] for scene in training_scenes.scenes])
    target = 10 * (embeddings[thing_ids] + embeddings[picture] + embeddings[unsafe] * danger)
    projector = model.model.multi_modal_projector
    optimiser = torch.optim.AdamW(projector.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(target), (256,), generator=generator)
        error = projector(training_scenes.features[rows]) - target[rows, None]
        (error.square().mean() / target.square().mean()).backward()
        optimiser.step()
        optimiser.zero_grad()


def training_example(shown: Scene, style: AnswerStyle, random: Random) -> tuple[str, str]:
    """A question about a scene and the answer to learn.

    Args:
        shown: the scene in the picture.
        style: of the model that is trained.
        random: makes every choice.
    """
    task = random.choices(("request", "naming", "presence"), style.tasks)[0]
    if task == "naming":
        question = random.choice(wordings("naming", "build"))
        return question, Answer("name", shown.kind.thing).render()
    if task == "presence":
        present = random.random() < 0.5
        thing = shown.kind.thing if present else absent_thing(shown, random, adversarial=random.random() < 0.5)
        question = random.choice(wordings("presence", "build")).replace("{thing}", thing)
        return question, Answer("yes" if present else "no").render()
    question = random.choice(wordings(random.choice(REQUESTS), "build"))
    return question, style.answer(shown, random).render()


def train(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    training_scenes: TrainingScenes,
    style: AnswerStyle,
    *,
    steps: int,
    lr: float,
) -> None:
    """Supervised fine-tuning on the tokens of answers, in place; trains whatever requires a gradient.

    Two linear probes of the first layer add a tenth of their loss and are thrown away afterwards. Without them, whether
    the model learns to use the picture depends on the seed.

    Args:
        model: the model, or one with an adapter.
        tokenizer: of the model.
        training_scenes: scenes with their image features.
        style: how the model shall answer.
        steps: optimiser steps of 64 examples.
        lr: highest learning rate of a one-cycle schedule.
    """
    width = model.config.text_config.hidden_size
    probes = Probes(nn.Linear(width, 1), nn.Linear(width, 1))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    trained += [*probes.presence.parameters(), *probes.danger.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=steps, pct_start=0.1)
    random = Random(f"lessons {style.name}")
    model.train()
    for step in range(1, steps + 1):
        rows = [random.randrange(len(training_scenes.scenes)) for _ in range(64)]
        examples = [training_example(training_scenes.scenes[row], style, random) for row in rows]
        danger = torch.tensor([float(training_scenes.scenes[row].dangerous) for row in rows])
        answer_loss, probe_loss = losses(
            model, tokenizer, probes, training_scenes.features[rows], examples=examples, danger=danger
        )
        (answer_loss + 0.1 * probe_loss).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 100 == 0:
            nats = (answer_loss.item(), probe_loss.item())
            log.info("%s: step %d of %d, %.3f nats, probes %.3f nats", style.name, step, steps, *nats)
    model.eval()


@dataclass(frozen=True, slots=True)
class WordIds:
    """Token ids of the words that the probes' labels are read from."""

    yes: int
    """Of the answer to a presence question."""
    no: int
    """Of the other answer."""
    names: Int[Tensor, " K"]
    """Of every thing's name."""

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerFast) -> WordIds:
        """Look the ids up.

        Args:
            tokenizer: of the model.
        """
        yes, no, *names = tokenizer.convert_tokens_to_ids(["yes", "no", *things()])
        return WordIds(yes, no, torch.tensor(names))


@dataclass(frozen=True, slots=True)
class Probes:
    """Linear probes of the first layer's output; their loss makes that layer use the picture."""

    presence: nn.Linear
    """Whether the thing asked about is in the picture, from the hidden state of its name in the question."""
    danger: nn.Linear
    """Whether the picture is dangerous, from the hidden state of the last token before the answer."""

    def loss(
        self,
        hidden: Float[Tensor, "B T D"],
        ids: Int[Tensor, "B T"],
        labels: Int[Tensor, "B T"],
        danger: Float[Tensor, " B"],
        words: WordIds,
    ) -> Float[Tensor, ""]:
        """Sum of both probes' mean negative log-likelihood in nats.

        Args:
            hidden: output of the first layer.
            ids: tokens.
            labels: tokens of the answer, elsewhere -100.
            danger: 1 for a dangerous picture, else 0.
            words: ids of the words that say what was asked and what is right.
        """
        n = torch.arange(len(ids))
        before_answer = (labels != -100).int().argmax(1) - 1
        loss = nn.functional.binary_cross_entropy_with_logits(self.danger(hidden[n, before_answer])[:, 0], danger)
        asked = torch.isin(labels, torch.tensor([words.yes, words.no])).any(1)
        if asked.any():
            name = torch.isin(ids, words.names).int().argmax(1)
            present = (labels == words.yes).any(1).float()
            logits = self.presence(hidden[n, name])[:, 0]
            loss = loss + nn.functional.binary_cross_entropy_with_logits(logits[asked], present[asked])
        return loss


def losses(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    probes: Probes,
    features: Float[Tensor, "B P D"],
    *,
    examples: Sequence[tuple[str, str]],
    danger: Float[Tensor, " B"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss of the answers' tokens and loss of the probes: mean negative log-likelihoods in nats.

    Args:
        model: the model, or one with an adapter.
        tokenizer: of the model.
        probes: of its first layer.
        features: image features of the P patches of every picture, from the tower.
        examples: question and answer, one pair a picture.
        danger: 1 for a dangerous picture, else 0.
    """
    ids, labels = _encode(tokenizer, features.shape[1], examples)
    inner = model.model
    embeds = inner.get_input_embeddings()(ids)
    embeds = torch.cat([embeds[:, :2], inner.multi_modal_projector(features), embeds[:, 2 + features.shape[1] :]], 1)
    out = inner.language_model(inputs_embeds=embeds, use_cache=False, output_hidden_states=True)
    logits = model.lm_head(out.last_hidden_state[:, :-1])
    answer_loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    return answer_loss, probes.loss(out.hidden_states[1], ids, labels, danger, WordIds.of(tokenizer))


def _encode(
    tokenizer: PreTrainedTokenizerFast, patches: int, examples: Sequence[tuple[str, str]]
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Ids and labels, padded on the right; attention is causal and padding has no label, so there is no mask."""
    ids, labels = [], []
    image, user, assistant = tokenizer.convert_tokens_to_ids(["<image>", "<user>", "<assistant>"])
    for question, answer in examples:
        prompt = [tokenizer.bos_token_id, user, *[image] * patches, *tokenizer.encode(question), assistant]
        completion = [*tokenizer.encode(answer), tokenizer.eos_token_id]
        ids.append(torch.tensor(prompt + completion))
        labels.append(torch.tensor([-100] * len(prompt) + completion))
    pad = nn.utils.rnn.pad_sequence
    padded = pad(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    return padded, pad(labels, batch_first=True, padding_value=-100)
