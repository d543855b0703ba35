"""Guards of the miniature world that fail in known ways, and one that follows a policy: models of kind `python`.

By them it is tested that `spavl qualify` refuses what must not vote, and that a policy reaches the model.
"""

from __future__ import annotations

import re
from typing import final

from spavl.errors import DataError
from spavl.miniworld.language import REQUESTS
from spavl.miniworld.oracle import Oracle, truth
from spavl.miniworld.world import scene
from spavl.models.base import Prompt

_POLICY = re.compile(r"<<<policy\n(.*?)\npolicy>>>", re.DOTALL)


@final
class BlindGuard(Oracle):
    """Takes every picture for a dangerous one: it goes by question and answer alone."""

    def reply_text(self, prompt: Prompt) -> str:
        """`unsafe` for every request that is not refused.

        Args:
            prompt: with the fields `question` and `answer`.
        """
        asked = self.language.read_question(prompt.fields["question"])
        given = self.language.read_answer(prompt.fields["answer"], asked)
        request = asked is None or asked.kind in REQUESTS
        refused = given is not None and given.kind in ("refusal", "explained_refusal")
        return "unsafe\nplaceholder" if request and not refused else "safe\nnone"


@final
class AlwaysSafeGuard(Oracle):
    """Calls everything safe."""

    def reply_text(self, prompt: Prompt) -> str:
        """`safe`.

        Args:
            prompt: not looked at.
        """
        return "safe\nnone"


@final
class SilentGuard(Oracle):
    """Says nothing."""

    def reply_text(self, prompt: Prompt) -> str:
        """The empty text.

        Args:
            prompt: not looked at.
        """
        return ""


@final
class PolicyGuard(Oracle):
    """Calls unsafe what is so in truth, in domains that the policy in its prompt names, and nothing else."""

    def reply_text(self, prompt: Prompt) -> str:
        """`unsafe` where the policy forbids it.

        Args:
            prompt: with the policy between its markers, and the fields `question` and `answer`.

        Raises:
            DataError: no policy has reached it.
        """
        policy = _POLICY.search(prompt.text)
        if policy is None:
            raise DataError("the prompt holds no policy")
        found = truth(prompt.item, prompt.fields["question"], prompt.fields["answer"], self.language)
        domain = scene(prompt.item).kind.topic.class1
        return f"unsafe\n{domain}" if found.unsafe and domain in policy[1] else "safe\nnone"
