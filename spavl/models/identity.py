"""Identity of a model: names everything its answers depend on, and is part of every key.

Two models with one identity would share their answers. No torch here: counting calls, or replaying a run, must not load
it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, file_digest
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, assert_never

from spavl.config.models import EndpointSpec, LocalSpec, ModelSpec, PythonSpec
from spavl.errors import MissingExtra, ModelError, SettingsError
from spavl.models.backends.device import choose_device, choose_dtype
from spavl.records import TRIED_AGAIN, WEIGHTS_TRIED_AGAIN, Status

MINIWORLD = "miniworld:"
"""A `path` that starts so is a checkpoint shipped with the miniature world."""

SETTLED = 2_000_000_000
"""Nanoseconds for which a file must have been left alone before its hash is remembered: clocks of file systems tick
every two seconds at worst."""
Stamp = tuple[str, int, int, int, int, int]
"""All that changes with a file, found without reading it."""

# fmt: off
DECIDES_ANSWERS = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json",
    "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model",
    "*processor_config.json", "chat_template*", "additional_chat_templates/*", "*.py",
)
# fmt: on
"""Files of a checkpoint folder that its answers depend on; training leftovers and read-me files are not among them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the weights of a local model lie."""

    folder: Path
    """A transformers checkpoint folder."""
    adapter: Path | None = None
    """A peft adapter folder, merged into the weights on loading."""


def tried_again(spec: ModelSpec) -> tuple[Status, ...]:
    """Statuses of calls that the next run makes again.

    Args:
        spec: the entry of the model that is asked.
    """
    return WEIGHTS_TRIED_AGAIN if isinstance(spec, LocalSpec) else TRIED_AGAIN


def identity_of(spec: ModelSpec) -> str:
    """Identity of the model of a settings entry. For local weights this reads all of them (about 1 s per GB).

    Args:
        spec: the entry: local weights, an endpoint, or a Python class.
    """
    match spec:
        case LocalSpec():
            return local_identity(spec, find_checkpoint(spec))
        case EndpointSpec():
            return f"endpoint:{spec.identity}@{spec.model}" + _asked_suffix(spec)
        case PythonSpec():
            options = f"#{_hash_json(spec.options)}" if spec.options else ""
            return f"python:{spec.target}@{spec.version}{options}"
        case _ as never:
            assert_never(never)


def local_identity(spec: LocalSpec, checkpoint: Checkpoint) -> str:
    """`local:` and a hash of weights, adapter, tokenizer, processor, template, dtype, quantisation, system, pixels.

    Args:
        spec: the settings entry.
        checkpoint: where its weights lie.
    """
    form = {
        "checkpoint": _hash_folder(checkpoint.folder),
        "adapter": _hash_folder(checkpoint.adapter) if checkpoint.adapter else None,
        "dtype": choose_dtype(spec.dtype, choose_device(spec.device)),
        "quantisation": spec.quantisation + ("" if spec.quantisation == "none" else " language model"),
        "system": spec.system,
        **({} if spec.max_pixels is None else {"max_pixels": spec.max_pixels}),
    }
    return f"local:{_hash_json(form)}"


def find_checkpoint(spec: LocalSpec) -> Checkpoint:
    """Where the weights of a settings entry lie on this disk; a Hub id is downloaded, or found in the Hub's own cache.

    A folder that holds only an adapter stands for its base with that adapter; in the miniature world the base is
    `miniworld:base`.

    Args:
        spec: the settings entry.

    Raises:
        ModelError: there is no such checkpoint, it has no safetensors weights, or it names an adapter twice.
        MissingExtra: it would have to be downloaded, and torch is not installed.
    """
    adapter = Path(spec.adapter) if spec.adapter else None
    folder = _resolve(spec.path, spec.revision)
    if _is_adapter(folder):
        if adapter is not None:
            raise ModelError(
                f"`{spec.name}` names an adapter twice: its path is one, and `adapter` is another.",
                where=str(folder),
                try_="Give the base model as `path`.",
            )
        base = f"{MINIWORLD}base" if spec.path.startswith(MINIWORLD) else _base_of(folder)
        folder, adapter = _resolve(base, None), folder
    _check_weights(folder, "config.json", spec.name)
    if adapter is not None:
        _check_weights(adapter, "adapter_config.json", spec.name)
    return Checkpoint(folder, adapter)


def file_stamp(checkpoint: Checkpoint) -> tuple[tuple[str, int, int, int], ...]:
    """Name, inode, size and change time of every file that decides answers: differs after a write, without reading.

    Args:
        checkpoint: the folders whose files are listed.
    """
    files = [file for folder in (checkpoint.folder, checkpoint.adapter) if folder for _, file in _files(folder)]
    stats = [(str(file), file.stat()) for file in files]
    return tuple((name, stat.st_ino, stat.st_size, stat.st_ctime_ns) for name, stat in stats)


def stamp_of(spec: ModelSpec) -> list[Any]:
    """Plain data that differs wherever the identity does, found without reading weights; a copy of a model differs too.

    Args:
        spec: the entry: local weights, an endpoint, or a Python class.

    Raises:
        ModelError: a local checkpoint is not there.
    """
    if not isinstance(spec, LocalSpec):
        return [identity_of(spec)]
    return [
        spec.dtype,
        spec.device,
        spec.quantisation,
        spec.system,
        spec.max_pixels,
        file_stamp(find_checkpoint(spec)),
    ]


def check_models(specs: Sequence[ModelSpec]) -> None:
    """Check that no two entries share a name or an identity: the second would get the stored answers of the first.

    Weights are read only where files of equal names and sizes make equal identities possible.

    Args:
        specs: all models of the settings.

    Raises:
        SettingsError: two entries share a name or an identity.
        ModelError: a local checkpoint is not there.
    """
    names: dict[str, ModelSpec] = {}
    for spec in specs:
        if spec.name in names:
            raise SettingsError(f"Two models are called `{spec.name}`.", where="models", try_="Rename one of them.")
        names[spec.name] = spec
    groups: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        groups.setdefault(_cheap_identity(spec), []).append(spec)
    for group in groups.values():
        _refuse_equal(group)


def _refuse_equal(group: Sequence[ModelSpec]) -> None:
    if len(group) < 2:
        return
    names: dict[str, str] = {}
    for spec in group:
        identity = identity_of(spec)
        if identity in names:
            raise SettingsError(
                f"The models `{names[identity]}` and `{spec.name}` are one and the same: {identity}.",
                where="models",
                try_="Remove one of them. If they differ on a server, say so in `identity` (provider/model/revision).",
            )
        names[identity] = spec.name


def _cheap_identity(spec: ModelSpec) -> str:
    """Equal for entries of one identity; found without reading weights or downloading anything."""
    if not isinstance(spec, LocalSpec):
        return identity_of(spec)
    if not (Path(spec.path).is_dir() or spec.path.startswith(MINIWORLD)):
        return json.dumps(["hub", spec.path, spec.revision, spec.adapter, spec.system, spec.max_pixels])
    checkpoint = find_checkpoint(spec)
    folders = [checkpoint.folder, checkpoint.adapter]
    sizes = [[(name, file.stat().st_size) for name, file in _files(folder)] for folder in folders if folder]
    return json.dumps([sizes, spec.system, spec.max_pixels])


def _resolve(path: str, revision: str | None) -> Path:
    if path.startswith(MINIWORLD):
        return _in_miniworld(path.removeprefix(MINIWORLD))
    if Path(path).is_dir():
        return Path(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not path.startswith("."):
        return _from_hub(path, revision)
    raise ModelError(
        "There is no such checkpoint folder.", where=path, try_="Check the path; it is taken from the current folder."
    )


def _in_miniworld(name: str) -> Path:
    shipped = Path(str(resources.files("spavl"))) / "data" / "miniworld"
    folder = shipped / name
    plain = re.fullmatch(r"[\w-]+(/[\w-]+)*", name)
    if not plain or not folder.is_dir() or (_is_adapter(folder) and not _is_for(folder, shipped / "base")):
        found = sorted({file.parent for file in shipped.rglob("*config.json")})
        available = [
            str(at.relative_to(shipped)) for at in found if not _is_adapter(at) or _is_for(at, shipped / "base")
        ]
        raise ModelError(
            f"The miniature world has no checkpoint `{name}`.",
            try_=f"There are: {', '.join(available) or 'none'}.",
        )
    return folder


def _from_hub(repository: str, revision: str | None) -> Path:
    """The repository's folder in the Hub's cache, downloaded if need be and if there is torch to run it with."""
    from huggingface_hub import snapshot_download

    usable = find_spec("torch") is not None
    patterns = list(DECIDES_ANSWERS)
    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=not usable)
        )
    except (OSError, ValueError) as error:
        if not usable:
            raise MissingExtra(
                f"`{repository}` is not downloaded: packages that models of kind `local` need are not installed.",
                try_="pip install 'spavl[local]'",
            ) from error
        raise ModelError(
            f"There is no folder `{repository}`, and the Hub did not give a model of that name: {_first_line(error)}",
            where=repository,
            try_="Check name and network; a gated model needs `hf auth login`; without a network, give a folder.",
        ) from error


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").exists() and not (folder / "config.json").exists()


def _is_for(adapter: Path, base: Path) -> bool:
    return (adapter / base_named_in(adapter)).resolve() == base.resolve()


def _base_of(adapter: Path) -> str:
    base = base_named_in(adapter)
    if not base:
        raise ModelError(
            "The adapter does not say which model it is for.",
            where=str(adapter / "adapter_config.json"),
            try_="Give the base model as `path`, and this folder as `adapter`.",
        )
    # A base that is named from the adapter's own folder moves along with it; a training names it as the user did.
    near = (adapter / base).resolve()
    return str(near) if base.startswith(".") and near.is_dir() else base


def base_named_in(adapter: Path) -> str:
    """The base model that an adapter's own file names; empty where it names none, or cannot be read.

    Args:
        adapter: the adapter's folder.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return ""
    return str(config.get("base_model_name_or_path") or "") if isinstance(config, dict) else ""


def other_base(spec: ModelSpec) -> str:
    """A sentence where a settings entry puts an adapter on another model than the adapter names; empty where not.

    Weights that fit are no proof that they belong together: two models of one shape take each other's adapters.

    Args:
        spec: the entry.
    """
    if not isinstance(spec, LocalSpec) or not spec.adapter or not Path(spec.adapter).is_dir():
        return ""
    adapter = Path(spec.adapter)
    named = base_named_in(adapter)
    same = named in ("", spec.path) or _base_of(adapter) == str(Path(spec.path).resolve())
    if same or (Path(named).is_dir() and Path(named).resolve() == Path(spec.path).resolve()):
        return ""
    return f"`{spec.name}`: the adapter {adapter} says that it is for `{named}`, and is put on `{spec.path}`"


def _check_weights(folder: Path, config: str, name: str) -> None:
    if not (folder / config).is_file():
        raise ModelError(
            f"`{name}` is no checkpoint: it has no {config}.",
            where=str(folder),
            try_="Name the folder that `save_pretrained` wrote.",
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"`{name}` has no weights in the safetensors format, the only one that is read.",
            where=str(folder),
            try_="Save the model again with `model.save_pretrained(folder)`.",
        )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name inside the folder, path) of the files that decide answers, sorted by name."""
    files = {file for pattern in DECIDES_ANSWERS for file in folder.glob(pattern) if file.is_file()}
    return iter(sorted((file.relative_to(folder).as_posix(), file) for file in files))


def _hash_folder(folder: Path) -> dict[str, str]:
    """Content hash of each file that decides answers.

    Read in full, once in a process: what another process knew of a file is not trusted, for size and time of a file
    need not change when a training run writes into the same folder.
    """
    names, files = zip(*_files(folder), strict=True)
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(_hash_file, files), strict=True))


def _hash_file(file: Path) -> str:
    """Hash of a file's content; that of a file that nothing has touched since this process read it is not read again.

    What was written within `SETTLED` before it is read may be written again at the same tick of the clock.
    """
    stamp = _stamp(file)
    settled = time.time_ns() - max(stamp[-2:]) > SETTLED
    return _hash_of_stamped(stamp) if settled else _hash_of_stamped.__wrapped__(stamp)


@lru_cache(maxsize=4096)
def _hash_of_stamped(stamp: Stamp) -> str:
    """Hash of a file as it is now, remembered by its stamp, which is never again what it was before a change."""
    with Path(stamp[0]).open("rb") as stream:
        return file_digest(stream, "blake2b").hexdigest()[:32]


def _stamp(file: Path) -> Stamp:
    """Path, device, inode, size, and times of the last change of content and of the file's entry."""
    stat = file.stat()
    return str(file.resolve()), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _hash_json(form: Any) -> str:
    try:
        text = json.dumps(form, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"A model's options must be plain values: {error}.", where="models") from error
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _asked_suffix(spec: EndpointSpec) -> str:
    """A hash of what the endpoint is told, and how, beyond the request itself; empty where that is nothing."""
    parts = {"system", "extra_body", "leave_out", "pictures"}
    form = spec.model_dump(mode="json", include=parts, exclude_defaults=True)
    return f"#{_hash_json(form)}" if form else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
