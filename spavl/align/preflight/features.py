"""Whether what a frozen vision tower gives is kept for a training, and filling its cache before the first step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from spavl.align.data.batches import PairDataset
from spavl.align.data.feature_cache import FeatureCache, Features
from spavl.align.data.validate import Finding
from spavl.align.data.views import in_view, load_in_view
from spavl.align.policy.policy import Policy
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.launcher import find_sharding
from spavl.config.align import AlignSettings
from spavl.errors import RunError
from spavl.models.backends.local_trees import PictureFeatures
from spavl.models.trees.tower import encode, tower_fingerprint
from spavl.pictures import Picture
from spavl.plural import plural
from spavl.progress import OnProgress, Progress

Encoder = Callable[[Picture], Features]
"""Gives a picture's features on the CPU."""
CHECKED = 4
"""Pictures computed again whenever a cache is used, and pictures by whose features the disk that all take is known."""
PART = 128 << 20
"""Bytes of features after which a part is written."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
"""Largest difference between cache and tower as a share of a picture's features, both as the length of a vector, by
number format: other kernels round otherwise, other weights are off by far more."""
MOST_OF_DISK = 0.5
"""Share of the free disk that `auto` takes at most."""


def seen_again(settings: AlignSettings, pairs: int) -> bool:
    """Whether a training sees pairs more than once.

    Args:
        settings: of the training.
        pairs: that it is trained on.
    """
    optimiser = settings.optimiser
    return (optimiser.max_steps * settings.batching.pairs / pairs if optimiser.max_steps else optimiser.epochs) > 1


def plan_features(
    settings: AlignSettings, policy: Policy, dataset: PairDataset, context: DeviceContext
) -> tuple[FeatureCache | None, list[Finding]]:
    """The cache that a training reads features from, not yet filled; None: the tower runs in every pass. With findings.

    Args:
        settings: of the training.
        policy: the model, untrained.
        dataset: the pairs, measured.
        context: where the tower runs.
    """
    mode = settings.features.mode
    wanted = mode == "cached" or (mode == "auto" and seen_again(settings, len(dataset.pairs)))
    shown = list(dataset.shown_pictures()) if wanted else []
    if not shown:
        return None, []
    if why := why_live(settings, policy):
        return None, [Finding("note", f"the vision tower runs in every pass: {why}")]
    cache = FeatureCache(Path(settings.features.cache), tower_fingerprint(policy.model, policy.family, context.dtype))
    each = _mean_size(cache, shown, feature_encoder(policy, context))
    needed = each * sum(picture not in cache for picture in shown)
    if mode == "auto" and not _first_agrees(needed <= MOST_OF_DISK * _free_disk(cache.folder)):
        what = f"the vision tower runs in every pass: its features would take {needed / 2**30:.1f} GiB more of the disk"
        return None, [Finding("note", what, try_="align.features.mode=cached, or another align.features.cache")]
    size = each * len(shown) / 2**20
    what = f"features of the vision tower are kept for {plural(len(shown), 'picture')}, {size:,.1f} MiB"
    return cache, [Finding("note", what)]


def _mean_size(cache: FeatureCache, shown: Sequence[Picture], run: Encoder) -> float:
    """Bytes of a picture's features, the mean of a few: some towers give more for larger pictures."""
    some = _few(shown)
    return sum(size_of(cache.find(picture) or run(picture)) for picture in some) / len(some)


def _first_agrees(fits: bool) -> bool:
    """What the first process found: free disks differ, and all processes have to do the same."""
    (first,) = broadcast_object_list([fits])
    return bool(first)


def _few(pictures: Sequence[Picture]) -> Sequence[Picture]:
    """A few pictures, from beginning to end."""
    return pictures[:: max(1, len(pictures) // CHECKED)][:CHECKED]


def why_live(settings: AlignSettings, policy: Policy) -> str:
    """Why the features of a model's tower cannot be kept, in words; empty where they can.

    Args:
        settings: of the training.
        policy: the model.
    """
    facts = policy.family.facts
    if policy.counts["vision"].trained:
        return "it is trained (align.freeze.vision)"
    if settings.method == "ppo":
        return "with `method: ppo` several models read the pictures"
    if find_sharding(1).weights:
        return "its weights are sharded over devices"
    if not facts.projector_reads:
        return f"what the projector of {facts.name} reads of it is not known"
    return ""


def share_features(
    cache: FeatureCache, policy: Policy, dataset: PairDataset, context: DeviceContext, progress: Progress
) -> None:
    """Fill a cache with all pictures of a dataset, each process its share, and let the dataset read from it.

    Args:
        cache: from `plan_features`.
        policy: the model; its tower is frozen.
        dataset: shows the pictures.
        context: where the tower runs, and which process this is.
        progress: gets a bar.

    Raises:
        RunError: the cache is not of this tower, or cannot be written.
    """
    own = islice(dataset.shown_pictures(), context.rank, None, context.ranks)
    with progress.bar("picture features") as on_progress:
        fill_features(
            cache, own, feature_encoder(policy, context), tolerance=TOLERANCE[context.dtype], on_progress=on_progress
        )
    PartialState().wait_for_everyone()
    cache.open_new_files()
    dataset.pixel_cache.features = cache


def features_as_asked(cache: FeatureCache, policy: Policy, context: DeviceContext) -> PictureFeatures:
    """A function that gives features of any pictures, from a cache, to which those are added that it lacks.

    Args:
        cache: of the policy's tower.
        policy: the model; its tower is frozen.
        context: where the tower runs.
    """
    run = feature_encoder(policy, context)

    def features(pictures: Sequence[Picture]) -> dict[str, Features]:
        shown = {picture.key: in_view(picture, "true") for picture in pictures}
        found = {key: cache.find(picture) for key, picture in shown.items()}
        fresh = {picture.key: run(picture) for key, picture in shown.items() if found[key] is None}
        cache.add(fresh)
        return {key: found[key] or fresh[picture.key] for key, picture in shown.items()}

    return features


def feature_encoder(policy: Policy, context: DeviceContext) -> Encoder:
    """A function that runs a policy's tower on one picture, in the view that its key names.

    Args:
        policy: the model.
        context: device and arithmetic.
    """

    def run(picture: Picture) -> Features:
        pixels = policy.family.pixels([load_in_view(picture)])
        moved = {name: value.to(context.device) for name, value in pixels.items()}
        with context.precision():
            found = encode(policy.model, policy.family, moved)
        return {name: value.cpu().contiguous() for name, value in found.items()}

    return run


def fill_features(
    cache: FeatureCache,
    pictures: Iterable[Picture],
    encode: Encoder,
    *,
    tolerance: float,
    on_progress: OnProgress | None = None,
) -> None:
    """Compute the features of some pictures that the cache lacks, and add them; a few others are compared with it.

    Args:
        cache: the cache of the tower.
        pictures: those whose features are wanted, each once, under keys that name the view (`in_view`).
        encode: runs the tower.
        tolerance: largest difference between cache and tower, as a share of a picture's features.
        on_progress: called with (pictures computed, pictures to compute).

    Raises:
        RunError: the cache is not of this tower, or cannot be written.
    """
    known: list[Picture] = []
    missing: list[Picture] = []
    for picture in pictures:
        (missing if cache.find(picture) is None else known).append(picture)
    _check(cache, known, encode, tolerance)
    fresh: dict[str, Features] = {}
    held = 0
    for done, picture in enumerate(missing, start=1):
        fresh[picture.key] = encode(picture)
        held += size_of(fresh[picture.key])
        if held >= PART:
            cache.add(fresh)
            fresh, held = {}, 0
        if on_progress:
            on_progress(done, len(missing))
    cache.add(fresh)


def _check(cache: FeatureCache, known: Sequence[Picture], encode: Encoder, tolerance: float) -> None:
    """Compare a few pictures with what the tower gives now."""
    for picture in _few(known):
        kept, now = cache.read(picture), encode(picture)
        if not _alike(kept, now, tolerance):
            raise RunError(
                "The cache does not hold what this vision tower gives for its pictures.",
                where=str(cache.folder),
                try_="Delete that folder; it will be computed again.",
            )


def _alike(kept: Features, now: Features, tolerance: float) -> bool:
    if {name: row.shape for name, row in kept.items()} != {name: row.shape for name, row in now.items()}:
        return False
    rows = [(kept[name].float(), row.float()) for name, row in now.items()]
    return all(bool((old - new).norm() <= tolerance * new.norm()) for old, new in rows)


def size_of(features: Features) -> int:
    """Bytes of a picture's features.

    Args:
        features: of one picture.
    """
    return sum(tensor.nbytes for tensor in features.values())


def _free_disk(folder: Path) -> int:
    """Free bytes where a folder is, or is to be."""
    there = next(at for at in (folder.absolute(), *folder.absolute().parents) if at.is_dir())
    return shutil.disk_usage(there).free
