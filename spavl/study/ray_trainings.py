"""Trainings on a Ray cluster, with `runner: ray` in the settings of the run: a task each, gathered as they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spavl.config import Settings
from spavl.pipeline.ray_cluster import check_ray, connect
from spavl.study.training import Made, TrainingTask, make_training, with_segment

DIED = "Its Ray worker died, as when memory runs out: reserve more (`ray.num_cpus`), then the same command again"
"""Why a training was not made whose worker is gone."""


def on_ray(settings: Settings, tasks: Sequence[TrainingTask]) -> Iterator[Made]:
    """What becomes of some trainings on a cluster, as they end.

    A training reserves what `ray.num_gpus` and `ray.num_cpus` say; where they say nothing, a GPU if the cluster has
    any, and else the cores of a node. All nodes must see the folders of study and dataset, and the call store, which
    is refused on a network file system: in practice it is for the cards of one machine.

    Args:
        settings: of the run, which name the cluster.
        tasks: trainings that need nothing of each other.

    Raises:
        MissingExtra: Ray is not installed.
        RunError: the cluster does not answer.
    """
    if not tasks:
        return
    check_ray(settings)
    import ray

    joined = connect(settings)
    try:
        remote = ray.remote(_make).options(max_retries=0, **_reserved(settings, ray))
        here = str(Path.cwd())
        waiting = {remote.remote(with_segment(task), here, tuple(sys.path)): task for task in tasks}
        while waiting:
            (ended,), _ = ray.wait(list(waiting))
            yield _result(ray, ended, waiting.pop(ended))
    finally:
        if joined:
            ray.shutdown()


def _make(task: TrainingTask, folder: str, import_paths: Sequence[str]) -> Made:
    """Make a training in a worker, where relative paths and the user's own classes are found as in the command."""
    os.chdir(folder)
    sys.path.extend(path for path in import_paths if path not in sys.path)
    return make_training(task)


def _reserved(settings: Settings, ray: Any) -> dict[str, float]:
    """What Ray reserves for a training."""
    cpus, gpus = settings.ray.num_cpus, settings.ray.num_gpus
    if cpus or gpus:
        return {"num_cpus": cpus, "num_gpus": gpus}
    if ray.cluster_resources().get("GPU", 0) >= 1:
        return {"num_cpus": 0, "num_gpus": 1}
    nodes = [node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"]]
    return {"num_cpus": max(1, min(nodes, default=1)), "num_gpus": 0}


def _result(ray: Any, ended: Any, task: TrainingTask) -> Made:
    try:
        found: Made = ray.get(ended)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError):
        return Made(id=task.id, status="failed", why=DIED)
    return found
