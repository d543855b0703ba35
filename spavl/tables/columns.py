"""Records as Arrow columns, and back."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import pyarrow as pa

FORMAT = "5"
"""Version of the tables' meaning. A folder of another version is refused, never misread."""

Record = TypeVar("Record")
"""A record class of `spavl.records`."""

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), Path: pa.string()}


def columns_of(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """(name, type) of every field of a record and of those it holds, those of the earliest record first.

    Args:
        kind: the record class.
    """
    out: list[tuple[str, Any]] = []
    for name, hint in _hints(kind):
        out += columns_of(hint) if _is_record(hint) else [(name, hint)]
    return tuple(out)


def schema_of(kind: type[Any]) -> pa.Schema:
    """The Arrow schema of a record's table: its fields, then its properties, with the format version as metadata.

    Args:
        kind: the record class.
    """
    columns = [pa.field(name, _arrow(hint)) for name, _, hint in _paths(kind)]
    return pa.schema(columns, metadata={"spavl": FORMAT, "record": kind.__name__})


def to_arrow(records: Sequence[Any], kind: type[Any]) -> pa.Table:
    """The table of some records.

    Args:
        records: the rows, all of type `kind`.
        kind: the record class, which decides the columns.
    """
    schema = schema_of(kind)
    columns = [
        pa.array(_plain_column(list(map(attrgetter(path), records)), hint), type=field.type)
        for (_, path, hint), field in zip(_paths(kind), schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def records_of(table: pa.Table, kind: type[Record]) -> list[Record]:
    """The records of a table's rows; neighbouring rows that came from one record share it.

    Args:
        table: has all columns of `kind`; others are ignored.
        kind: the record class.
    """
    schema = pa.schema([pa.field(name, _arrow(hint)) for name, hint in columns_of(kind)])
    selected = table.select(schema.names).cast(schema)
    columns = {name: _rich_column(selected[name].to_pylist(), hint) for name, hint in columns_of(kind)}
    return list(_build(kind, columns))


def _build(kind: type[Any], columns: dict[str, list[Any]]) -> Iterator[Any]:
    """The records of a kind, row by row; equal neighbours are one object, since a record is never changed."""
    names = [name for name, _ in _hints(kind)]
    parts = [_build(hint, columns) if _is_record(hint) else columns[name] for name, hint in _hints(kind)]
    before: tuple[Any, ...] | None = None
    made: Any = None
    for row in zip(*parts, strict=True):
        if row != before:
            before, made = row, kind(**dict(zip(names, row, strict=True)))
        yield made


def _plain_column(values: list[Any], hint: Any) -> list[Any]:
    """Values as Arrow takes them: records inside a list become mappings, paths become text."""
    if not _is_nested(hint):
        return values
    plain = _plain_of(hint)
    out: list[Any] = []
    before: Any = None
    for value in values:
        out.append(out[-1] if out and value is before else plain(value))
        before = value
    return out


def _rich_column(values: list[Any], hint: Any) -> list[Any]:
    return list(map(_rich_of(hint), values)) if _is_nested(hint) else values


@cache
def _plain_of(hint: Any) -> Callable[[Any], Any]:
    """What makes values of a declared type plain."""
    if typing.get_origin(hint) is tuple:
        inner = _plain_of(typing.get_args(hint)[0])
        return lambda values: [inner(value) for value in values]
    if _is_record(hint):
        parts = [(name, attrgetter(name), _plain_of(part)) for name, part in _hints(hint)]
        return lambda record: {name: plain(get(record)) for name, get, plain in parts}
    return Path.as_posix if hint is Path else _same


@cache
def _rich_of(hint: Any) -> Callable[[Any], Any]:
    """What makes values of a declared type of plain ones; the inverse of `_plain_of`."""
    if typing.get_origin(hint) is tuple:
        inner = _rich_of(typing.get_args(hint)[0])
        return lambda values: tuple([inner(value) for value in values or ()])
    if _is_record(hint):
        parts = [(name, _rich_of(part)) for name, part in _hints(hint)]
        return lambda plain: hint(**{name: rich(plain[name]) for name, rich in parts})
    return _path if hint is Path else _same


def _same(value: Any) -> Any:
    return value


@lru_cache(maxsize=4096)
def _path(text: str) -> Path:
    """The path that a text stands for; those of a slice are met again and again, and are slow to make."""
    return Path(text)


def _paths(kind: type[Any]) -> tuple[tuple[str, str, Any], ...]:
    """(column, dotted path of the attribute, type): the fields along the chain, then the properties."""
    return _paths_of(kind)  # type: ignore[arg-type]  # a class is hashable, which mypy doubts of type[Any]


@cache
def _paths_of(kind: Hashable) -> tuple[tuple[str, str, Any], ...]:
    own, derived = _walk(kind, "")  # type: ignore[arg-type]
    return (*own, *derived)


def _walk(kind: type[Any], prefix: str) -> tuple[list[tuple[str, str, Any]], list[tuple[str, str, Any]]]:
    own: list[tuple[str, str, Any]] = []
    derived: list[tuple[str, str, Any]] = []
    for name, hint in _hints(kind):
        if _is_record(hint):
            inner, inner_derived = _walk(hint, f"{prefix}{name}.")
            own, derived = own + inner, derived + inner_derived
        else:
            own.append((name, f"{prefix}{name}", hint))
    for name, member in vars(kind).items():
        if isinstance(member, property) and member.fget is not None:
            derived.append((name, f"{prefix}{name}", typing.get_type_hints(member.fget)["return"]))
    return own, derived


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _is_nested(hint: Any) -> bool:
    return hint is Path or typing.get_origin(hint) is tuple


def _hints(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return _hints_of(kind)  # type: ignore[arg-type]  # a class is hashable, which mypy doubts of type[Any]


@cache
def _hints_of(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    return tuple(typing.get_type_hints(kind).items())


def _arrow(hint: Any) -> pa.DataType:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return pa.string()
    if origin in (Union, types.UnionType):
        return _arrow(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return pa.list_(_arrow(arguments[0]))
    if _is_record(hint):
        return pa.struct([pa.field(name, _arrow(inner)) for name, inner in _hints(hint)])
    return _ARROW[hint]
