"""The pages for those who come from another tool name what that tool has, and settings and benchmarks that are here."""

from __future__ import annotations

import ast
import importlib.util
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from spavl.cli.settings_help import explain
from spavl.config import Settings
from spavl.evaluate.loaders.catalogue import SOURCES
from tests import doc_pages

GUIDES = doc_pages.ROOT / "docs" / "guides"


def table(page: str, heading: str) -> list[tuple[str, str]]:
    """(left, right) cells of the rows of the table under a heading."""
    text = (GUIDES / page).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [(left, right) for left, right, *_ in rows[2:]]


def words(cell: str) -> list[str]:
    """What stands in a cell as code, without values behind a colon."""
    return [one.split(":")[0] for one in re.findall(r"`([^`]+)`", cell)]


def fields_of(package: str, file: str, kind: str) -> dict[str, str]:
    """The fields of an installed dataclass with their sources, read without the seconds that its import takes."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin
    source = (Path(spec.origin).parent / file).read_text("utf-8")
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == kind)
    return {
        n.target.id: ast.unparse(n)
        for n in found.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }


def dpo_config() -> dict[str, str]:
    """TRL's own options of DPO."""
    return fields_of("trl", "trainer/dpo_config.py", "DPOConfig")


def test_every_option_of_trl_that_the_page_names_is_one_and_every_one_of_dpo_s_own_is_named() -> None:
    own = dpo_config()
    assert {"beta", "loss_type"} <= own.keys()
    of_training = fields_of("transformers", "training_args.py", "TrainingArguments")
    lora = {"peft_config", "r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora"}
    named = {word for left, _ in table("from-trl.md", "Settings") for word in words(left)}
    assert named - own.keys() - of_training.keys() - lora == set()
    page = (GUIDES / "from-trl.md").read_text("utf-8")
    assert {name for name in own if f"`{name}`" not in page} == set()


def test_the_page_on_trl_is_written_against_the_release_that_is_installed() -> None:
    said = re.search(r"Written against TRL (\d+\.\d+)", (GUIDES / "from-trl.md").read_text("utf-8"))
    assert said and version("trl").startswith(said[1]), "read the new release, and say so on the page"


def test_the_losses_of_trl_that_the_page_says_are_not_here_are_trl_s() -> None:
    page = (GUIDES / "from-trl.md").read_text("utf-8")
    listed = re.search(r"the losses ((?:`\w+`,?\s+)+`\w+`)\.", page)
    assert listed and all(f"'{name}'" in dpo_config()["loss_type"] for name in words(listed[1]))


def test_every_setting_that_the_pages_name_is_one() -> None:
    known = set(re.findall(r"^([a-z_]+(?:\.[a-z_]+)*) = ", explain(), re.M))
    for page in ("from-trl.md", "from-llama-factory.md"):
        named = [word for _, right in table(page, "Settings") for word in words(right) if word.startswith("align.")]
        assert len(named) >= 20 and [name for name in named if name not in known] == []


def test_the_settings_in_blocks_of_the_pages_are_settings() -> None:
    for page in ("from-trl.md", "from-llama-factory.md", "from-lmms-eval.md"):
        ours = [b.text for b in doc_pages.blocks(GUIDES / page) if b.kind == "yaml" and "# LLaMA-Factory" not in b.text]
        assert ours
        for text in ours:
            Settings.model_validate(yaml.safe_load(text))


def test_the_same_training_has_the_same_numbers_on_both_sides_of_llama_factory_s_page() -> None:
    theirs, ours = (yaml.safe_load(b.text) for b in list(doc_pages.blocks(GUIDES / "from-llama-factory.md"))[:2])
    align: dict[str, Any] = ours["align"]
    assert align["model"] == theirs["model_name_or_path"]
    assert (align["loss"]["kind"], align["loss"]["beta"]) == (theirs["pref_loss"], theirs["pref_beta"])
    assert align["batching"]["pairs"] == theirs["per_device_train_batch_size"] * theirs["gradient_accumulation_steps"]
    assert (align["freeze"]["rank"], align["freeze"]["alpha"]) == (theirs["lora_rank"], 2 * theirs["lora_rank"])
    assert align["optimiser"]["warmup"] == theirs["warmup_ratio"]


def test_every_benchmark_of_ours_stands_beside_a_task_of_lmms_eval_or_a_dash() -> None:
    named = {word for _, right in table("from-lmms-eval.md", "Tasks and benchmarks") for word in words(right)}
    ours = {kind.model_fields["kind"].default for kinds in SOURCES.values() for kind in kinds}
    assert named == ours
