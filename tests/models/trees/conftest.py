"""A model of the LLaVA-1.5 family for the tests of packed trees."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spavl.models.families import Family, family_of
from tests.families import CASES, build


@pytest.fixture
def llava() -> tuple[Any, Family]:
    """A tiny random model, and its family."""
    torch.set_num_threads(1)
    model, processor = build(CASES["llava"])
    return model, family_of(model, processor)
