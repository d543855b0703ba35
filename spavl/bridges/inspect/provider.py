"""Our models as a provider of Inspect: `--model spavl/NAME -M settings=my.yaml`. Pictures are shown, answers kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)

from spavl.bridges.chat import ChatTurn, PictureFolder, Shown, prompt_of
from spavl.bridges.inspect.batching import Batching
from spavl.bridges.inspect.log import STOPPED
from spavl.bridges.inspect.repeated import RepeatedQuestions
from spavl.bridges.inspect.sessions import session_of
from spavl.errors import DataError, ModelError
from spavl.evaluate.scorer import FAILED
from spavl.models.base import Prompt, Reply, Sampling
from spavl.pipeline.evaluate import models_of

CONNECTIONS = 64
"""Questions of Inspect that are open at once, and so the most in a batch, unless its own setting says otherwise."""


class SpavlAPI(ModelAPI):  # type: ignore[misc]
    """A model of a settings file: weights on this machine, an endpoint, or a class of your own.

    Args:
        model_name: name of a listed model, a checkpoint folder or a Hub id, as `spavl evaluate --model` takes them.
        base_url: unused; the settings say where an endpoint is.
        api_key: unused.
        config: Inspect's.
        settings: path of the settings file.
        allow_code: run a class of your own.
        unknown: none; a further argument is refused.

    Raises:
        DataError: there is a further argument.
        SettingsError: something in the settings is wrong.
    """

    def __init__(
        self, model_name: str, base_url: str | None = None, api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(), *, settings: str, allow_code: bool = False, **unknown: Any,
    ) -> None:  # fmt: skip
        super().__init__(model_name, base_url, api_key, [], config)
        if unknown:
            raise DataError(f"The provider has no argument `{next(iter(unknown))}`", where="-M")
        session = session_of(settings, allow_code)
        (*_, spec) = models_of(session, [model_name])
        self._session = session
        self._model = session.model(spec)
        self._pictures = PictureFolder(session.world / "inspect")
        self._questions = RepeatedQuestions(session.engine, self._model)
        self._batching = Batching(self._ask, CONNECTIONS)
        self._threads: anyio.CapacityLimiter | None = None

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """The model's answer to a conversation.

        Args:
            input: the conversation, which ends with the user's turn.
            tools: none; models here call no tools.
            tool_choice: unused.
            config: how the answer is sampled; greedy unless it says otherwise.

        Raises:
            DataError: there are tools, or a message shows what is neither words nor a picture.
            ModelError: the call failed; Inspect notes the sample as an error, and never as an empty answer.
        """
        if tools:
            raise DataError("Models of spavl call no tools", where=self.model_name)
        prompt = prompt_of([_turn(message) for message in input], self._pictures.keep)
        self._threads = self._threads or anyio.CapacityLimiter(4 * CONNECTIONS)
        ask = partial(self._batching.ask, prompt, _sampling(config, self._session.settings.seed))
        reply = await anyio.to_thread.run_sync(ask, limiter=self._threads)
        if reply.status in FAILED:
            raise ModelError(f"The call of `{self.model_name}` ended as {reply.status}: {reply.detail}")
        return _output(reply, f"spavl/{self.model_name}")

    def max_connections(self) -> int:
        """Questions that are open at once."""
        return CONNECTIONS

    def max_tokens(self) -> int | None:
        """Longest answer in tokens, as the settings have it."""
        return self._session.settings.evaluate.sampling.max_tokens

    def _ask(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        replies = self._questions.ask(prompts, sampling)
        self._session.store.flush()
        return replies


def _turn(message: ChatMessage) -> ChatTurn:
    if isinstance(message.content, str):
        return ChatTurn(message.role, [message.content])
    parts: list[str | Shown] = []
    for part in message.content:
        if isinstance(part, ContentText):
            parts.append(part.text)
        elif isinstance(part, ContentImage):
            parts.append(Shown(part.image))
        elif not isinstance(part, ContentReasoning):
            raise DataError(f"A message shows a part of type `{part.type}`; words and pictures can be shown")
    return ChatTurn(message.role, parts)


def _sampling(config: GenerateConfig, seed: int) -> Sampling:
    return Sampling(
        temperature=config.temperature or 0.0, top_p=1.0 if config.top_p is None else config.top_p,
        max_tokens=config.max_tokens or Sampling().max_tokens, seed=seed if config.seed is None else config.seed,
    )  # fmt: skip


def _output(reply: Reply, model: str) -> ModelOutput:
    content: Any = reply.text
    if reply.thought:
        content = [ContentReasoning(reasoning=reply.thought), ContentText(text=reply.text)]
    message = ChatMessageAssistant(content=content, model=model, source="generate")
    usage = ModelUsage(
        input_tokens=reply.prompt_tokens, output_tokens=reply.completion_tokens,
        total_tokens=reply.prompt_tokens + reply.completion_tokens,
    )  # fmt: skip
    choice = ChatCompletionChoice(message=message, stop_reason=STOPPED.get(reply.status, "stop"))
    return ModelOutput(model=model, choices=[choice], usage=usage, metadata={"call": reply.key})
