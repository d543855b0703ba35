"""What a dataset holds of every topic of its taxonomy: counted by DuckDB when a build ends, kept in `run.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.config import Settings
from spavl.errors import RunError
from spavl.pipeline.session import Session
from spavl.pipeline.stages import last_tables
from spavl.records import ImageRecord, PreferencePair, Query, Topic
from spavl.report.coverage_data import CoverageRow, CoverageShown
from spavl.run import Run, Stage
from spavl.tables.query import query
from spavl.taxonomy import Taxonomy, load_taxonomy

PICTURES = "SELECT class1, class2, class3, count(*), count(*) FILTER (benign) FROM records GROUP BY ALL"
QUESTIONS = """
SELECT class1, class2, class3, question_type, count(*) FROM records WHERE query_status = 'ok' GROUP BY ALL
"""
PAIRS = "SELECT class1, class2, class3, count(*) FROM records GROUP BY ALL"
FEW = 0.2
"""A subcategory has few of something where it has less than this share of what the mean subcategory has."""


def note_coverage(session: Session, stages: Sequence[Stage]) -> None:
    """Note in `run.json` what the dataset holds of every subcategory, those of which it holds nothing too.

    Args:
        session: the settings and the run folder; where that can only be read, what it has noted stays.
        stages: from `pipeline_of`.

    Raises:
        RunError: a table cannot be read.
    """
    if not session.run.can_be_written:
        return
    settings, folder = session.settings, session.run.folder
    taxonomy = taxonomy_of(settings)
    counts: dict[Topic, Counter[str]] = {topic: Counter() for topic in taxonomy.topics}
    for topic, found in _counted(folder, settings, stages):
        counts.setdefault(topic, Counter()).update(found)
    session.run.replace(
        coverage={
            "taxonomy": taxonomy.source, "levels": taxonomy.levels, "display": _readable(taxonomy),
            "columns": _columns(settings, counts.values()),
            "leaves": [
                {"class1": t.class1, "class2": t.class2, "class3": t.class3, "counts": dict(sorted(found.items()))}
                for t, found in counts.items()
            ],
        }
    )  # fmt: skip


def taxonomy_of(settings: Settings) -> Taxonomy:
    """The taxonomy that the pictures of a run are filed under.

    Args:
        settings: of the run.

    Raises:
        DataError: the user's own file cannot be read.
    """
    collect = settings.build.collect
    own = collect.taxonomy if collect.source != "miniworld" else None
    return load_taxonomy(Path(own) if own else None)


def coverage_of(run: Run) -> CoverageShown | None:
    """The coverage that the last build noted; None where it noted none.

    Args:
        run: the run folder.

    Raises:
        RunError: `run.json` is damaged.
    """
    noted = run.manifest().get("coverage")
    return _shown(noted) if noted else None


def show_coverage(folder: Path) -> CoverageShown:
    """The coverage that the last build noted.

    Args:
        folder: the run folder.

    Raises:
        RunError: there is no run in the folder, or none that was built.
    """
    found = coverage_of(Run(folder).found())
    if found is None:
        raise RunError("No coverage is noted for this run", where=str(folder),
                       try_="run `spavl build`: it is noted when a build ends, and no call is made again")  # fmt: skip
    return found


def _counted(folder: Path, settings: Settings, stages: Sequence[Stage]) -> Iterator[tuple[Topic, Counter[str]]]:
    """Counts of the topics of every table that is there, the same topic several times."""
    for *names, pictures, benign in _rows(PICTURES, last_tables(folder, settings, stages, ImageRecord)):
        yield _topic(names), Counter(pictures=pictures, benign=benign)
    for *names, kind, questions in _rows(QUESTIONS, last_tables(folder, settings, stages, Query)):
        yield _topic(names), Counter({kind: questions})
    for *names, pairs in _rows(PAIRS, last_tables(folder, settings, stages, PreferencePair)):
        yield _topic(names), Counter(pairs=pairs)


def _rows(sql: str, tables: Iterable[Path]) -> Iterator[tuple[Any, ...]]:
    for table in tables:
        if table.exists():
            yield from query(sql, records=table)


def _topic(names: Sequence[str]) -> Topic:
    return Topic(class1=names[0], class2=names[1], class3=names[2])


def _readable(taxonomy: Taxonomy) -> dict[str, str]:
    """Readable form of the names that need one."""
    names = [name for topic in taxonomy.topics for name in (topic.class1, topic.class2, topic.class3)]
    return {name: taxonomy.display(name) for name in names if taxonomy.display(name) != name}


def _columns(settings: Settings, counts: Iterable[Counter[str]]) -> list[str]:
    """What is counted, in the order of the pipeline."""
    before, after = ["pictures", "benign"], ["pairs"]
    found = {name for counter in counts for name in counter} - {*before, *after, *settings.build.ask.types}
    return [*before, *settings.build.ask.types, *sorted(found), *after]


def _shown(noted: Mapping[str, Any]) -> CoverageShown:
    """What was noted, with a row for every name of the tree: those above a subcategory are sums."""
    columns, leaves = noted["columns"], noted["leaves"]
    enough = [FEW * sum(leaf["counts"].get(column, 0) for leaf in leaves) / len(leaves) for column in columns]
    sums: dict[tuple[str, ...], list[int]] = {}
    for leaf in leaves:
        names = tuple(name for name in (leaf["class1"], leaf["class2"], leaf["class3"]) if name)
        for depth in range(len(names) + 1):
            row = sums.setdefault(names[:depth], [0] * len(columns))
            row[:] = [total + leaf["counts"].get(column, 0) for total, column in zip(row, columns, strict=True)]
    rows = [_row(names, counts, enough, noted) for names, counts in sums.items()]
    return CoverageShown(
        taxonomy=noted["taxonomy"], columns=tuple(column.replace("_", " ") for column in columns), rows=tuple(rows),
        subcategories=len(leaves),
        without_pictures=tuple(row.name for row in rows if row.is_subcategory and not row.counts[0]),
    )  # fmt: skip


def _row(names: tuple[str, ...], counts: list[int], enough: list[float], noted: Mapping[str, Any]) -> CoverageRow:
    is_leaf = len(names) == noted["levels"]
    return CoverageRow(
        name=noted["display"].get(names[-1], names[-1]) if names else "all", depth=len(names),
        is_subcategory=is_leaf, counts=tuple(counts),
        few=tuple(is_leaf and n < least for n, least in zip(counts, enough, strict=True)),
    )  # fmt: skip
