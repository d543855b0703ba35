"""Benchmarks that follow a protocol: every metric that it names is measured, and it says who must grade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from spavl.config import GuardSpec, Settings
from spavl.config.benchmarks import BenchmarkSpec
from spavl.config.protocols import protocol_named, protocol_names
from spavl.errors import SettingsError
from spavl.evaluate import Benchmark
from spavl.evaluate.samples import with_samples
from spavl.models.base import Sampling
from spavl.pipeline.evaluate import limited
from spavl.pipeline.protocols import fixed_by_protocol, follow
from tests.evaluate import safety_files, skill_files
from tests.evaluate.benchmark_files import json_lines, picture
from tests.evaluate.safety_files import opened_safety
from tests.evaluate.skill_files import opened_skill

CLASSES = {one.model_fields["kind"].default: one for one in get_args(get_args(BenchmarkSpec)[0])}
STRINGS = "I'm sorry\nI cannot"


def pope(folder: Path) -> dict[str, Any]:
    (folder / "1.jpg").write_bytes(picture())
    rows = [{"question_id": n, "image": "1.jpg", "text": "Is it a cup?", "label": "yes"} for n in range(2)]
    return {"path": str(json_lines(folder / "coco_pope_random.json", rows)), "images": str(folder)}


def files_of(kind: str, folder: Path) -> dict[str, Any]:
    """Small files of a benchmark in its layout, and the settings that name them."""
    if kind == "pope":
        return pope(folder)
    if kind == "mm-safetybench":
        made = safety_files.mm_safetybench(folder, ("SD", "TYPO", "SD_TYPO"))
        return {"path": str(made)}
    if kind == "mmbench":
        return {"path": str(skill_files.mmbench(folder / "mmbench.tsv", rotated=False))}
    maker = getattr(safety_files, kind.replace("-", "_"), None) or getattr(skill_files, kind.replace("-", "_"))
    found = maker(folder)
    (folder / "strings.txt").write_text(STRINGS)
    more = {"refusal_strings": str(folder / "strings.txt")} if kind == "vlguard" else {}
    known = CLASSES[kind].model_fields
    more |= (
        {"images": str(folder)}
        if "images" in known and kind in ("vqav2", "textvqa", "vizwiz", "gqa", "seed-bench")
        else {}
    )
    return {"path": str(found), **more}


def opened(name: str, kind: str, folder: Path) -> tuple[Any, Benchmark]:
    spec = CLASSES[kind].model_validate({**files_of(kind, folder), "protocol": name, "partial": True})
    safety = kind in ("mm-safetybench", "advbench", "spa-vl", "vlguard")
    return spec, (opened_safety if safety else opened_skill)(spec, folder, missing_pictures="skip")


EVERY = [(name, kind) for name in protocol_names() for kind in protocol_named(name).benchmarks]


@pytest.mark.parametrize(("name", "kind"), EVERY, ids=lambda one: str(one))
def test_every_protocol_measures_what_it_publishes(tmp_path: Path, name: str, kind: str) -> None:
    spec, benchmark = opened(name, kind, tmp_path)
    fixed = fixed_by_protocol(spec)
    assert fixed is not None
    found = follow(benchmark, spec, fixed, Settings())
    assert [metric.name for metric in found.metrics][: len(fixed.metrics)] == list(fixed.metrics)
    assert found.standard == f"{name}@{protocol_named(name).hash}" and found.standard_metrics == fixed.metrics
    assert {m.name for m in found.metrics} == {m.name for m in benchmark.metrics}, "nothing else is lost"


def test_another_kind_of_guard_than_the_protocol_s_is_refused(tmp_path: Path) -> None:
    spec, benchmark = opened("spa-vl-2024", "spa-vl", tmp_path)
    fixed = fixed_by_protocol(spec)
    assert fixed is not None
    settings = Settings.model_validate({
        "guards": [{"name": "rubric"}, {"name": "md", "kind": "md-judge"}],
        "models": [{"name": one, "kind": "python", "target": "a:b", "version": "1"} for one in ("rubric", "md")],
        "evaluate": {"guard": "rubric"},
    })  # fmt: skip
    with pytest.raises(SettingsError, match="graded by a guard of kind `md-judge` with `show_image: false`"):
        follow(benchmark, spec, fixed, settings)
    graded = settings.model_copy(update={"evaluate": settings.evaluate.model_copy(update={"guard": "md"})})
    assert follow(benchmark, spec, fixed, graded).standard.startswith("spa-vl-2024@")
    assert GuardSpec(name="md", kind="md-judge").show_image is None, "its kind is not shown the pictures anyway"


def test_a_metric_that_is_not_measured_is_told(tmp_path: Path) -> None:
    spec, benchmark = opened("vlguard-2024", "vlguard", tmp_path)
    fixed = fixed_by_protocol(spec)
    assert fixed is not None
    without = replace(benchmark, metrics=tuple(m for m in benchmark.metrics if not m.name.endswith("string_match")))
    with pytest.raises(SettingsError, match="is of the metric `unsafe_rate_unsafes_string_match`"):
        follow(without, spec, fixed, Settings())


def test_a_part_of_a_benchmark_and_several_answers_to_an_item_are_not_the_protocol_s_number(tmp_path: Path) -> None:
    spec, benchmark = opened("spa-vl-2024", "advbench", tmp_path)
    fixed = fixed_by_protocol(spec)
    assert fixed is not None
    found = follow(benchmark, spec, fixed, Settings())
    assert limited(found, len(found.items)).standard == found.standard, "nothing was left out"
    part = limited(found, 1)
    assert len(part.items) < len(found.items) and (part.standard, part.standard_metrics) == ("", ())
    warm = replace(found, sampling=Sampling(temperature=1.0))
    with pytest.raises(SettingsError, match=r"follows `spa-vl-2024@.*asks for one answer to each item"):
        with_samples(warm, 3)
    assert with_samples(replace(warm, standard=""), 3).samples == 3
