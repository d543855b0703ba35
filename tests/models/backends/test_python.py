"""The Python backend: permission to run a user's class, its options, and what happens when it raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spavl.config.models import PythonSpec
from spavl.errors import ModelError
from spavl.models import open_model
from spavl.models.base import BatchModel, Prompt, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore

GREEDY = Sampling()
TWO_PROMPTS = [Prompt("a"), Prompt("b")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def spec(target: str, **options: Any) -> PythonSpec:
    return PythonSpec(name="mine", target=target, version="1", options=options, batch_size=3)


def test_a_class_outside_spavl_needs_permission() -> None:
    with pytest.raises(ModelError, match="refused unless you say so") as raised:
        open_model(spec("tests.models.python_models:Echo"))
    assert "--allow-code" in raised.value.try_


def test_a_class_inside_spavl_needs_no_permission_but_must_exist() -> None:
    with pytest.raises(ModelError, match="cannot be built: KeyError: 'Nobody'"):
        open_model(spec("spavl.miniworld.oracle:Nobody"))


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        ("tests.models.no_such_module:Echo", {}, "ModuleNotFoundError"),
        ("tests.models.python_models", {}, "KeyError"),
        ("tests.models.python_models:Echo", {"unknown": 1}, "TypeError: .*unknown"),
        ("tests.models.python_models:Faulty", {"fault": "constructor"}, "ValueError: not today"),
    ],
)
def test_a_class_that_cannot_be_built_is_a_plain_error(target: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=f"`mine` cannot be built: {why}"):
        open_model(spec(target, **options), allow_code=True)


def test_a_class_is_built_with_its_options_and_answers(path: Path) -> None:
    model = open_model(spec("tests.models.python_models:Echo", fails=["b"]), allow_code=True)
    assert isinstance(model, BatchModel)
    assert (model.name, model.batch_size) == ("mine", 3)
    with CallStore(path) as store:
        replies = complete(model, TWO_PROMPTS, sampling=GREEDY, store=store)
    assert [reply.status for reply in replies] == ["ok", "failed"]
    model.close()


def test_exceptions_of_the_class_become_failed_replies(path: Path) -> None:
    model = open_model(spec("tests.models.python_models:Faulty", fault="bug"), allow_code=True)
    with CallStore(path) as store:
        replies = complete(model, TWO_PROMPTS, sampling=GREEDY, store=store)
    assert [reply.detail for reply in replies] == ["ZeroDivisionError: a bug of the user's"] * 2
    assert isinstance(model, BatchModel)
    model.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("no replies", "`mine` gave 0 replies to 2 requests"), ("user error", "The oracle is out")],
)
def test_too_few_replies_and_user_errors_are_raised(path: Path, fault: str, message: str) -> None:
    model = open_model(spec("tests.models.python_models:Faulty", fault=fault), allow_code=True)
    with CallStore(path) as store, pytest.raises(ModelError, match=message):
        complete(model, TWO_PROMPTS, sampling=GREEDY, store=store)
