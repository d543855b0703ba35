"""What a gate found, as files: JUnit XML for build servers, Markdown for the comment on a pull request."""

from __future__ import annotations

from xml.etree import ElementTree

from spavl.pipeline.gate import Decision, GateResult
from spavl.report.markdown import cell, table_lines
from spavl.visible_text import visible

HEAD = ("model", "limit", "measured", "bound", "n", "result")
"""Columns of the table of limits."""


def rows_of(found: GateResult) -> list[tuple[str, ...]]:
    """A row for every limit and model, with the columns of `HEAD`.

    Args:
        found: what became of the limits.
    """
    return [(d.model, d.limit, d.measured, d.bound, f"{d.n:,}", d.state) for d in found.decisions]


def summary(found: GateResult) -> str:
    """How many limits hold.

    Args:
        found: what became of the limits.
    """
    states = [decision.state for decision in found.decisions]
    kept = f"Limits that hold: {states.count('holds')} of {len(states)}"
    others = f"; {states.count('broken')} broken, {states.count('undecided')} undecided"
    return f"{kept}{'' if found.passes else others}."


def junit(found: GateResult) -> str:
    """The gate as JUnit XML: a test case for every limit, of the class that its model names.

    Args:
        found: what became of the limits.
    """
    failed = sum(decision.state != "holds" for decision in found.decisions)
    counts = {"tests": str(len(found.decisions)), "failures": str(failed), "errors": "0", "time": "0"}
    root = ElementTree.Element("testsuites", {"name": "spavl gate", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": visible(found.run), **counts, "skipped": "0"})
    for decision in found.decisions:
        _case(suite, decision)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ElementTree.Element, decision: Decision) -> None:
    named = {"classname": visible(decision.model), "name": visible(decision.limit), "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", named)
    if decision.state != "holds":
        said = {"type": decision.state, "message": visible(decision.why)}
        ElementTree.SubElement(case, "failure", said).text = visible(
            f"measured {decision.measured}, bound {decision.bound or '–'}, n = {decision.n}"
        )


def markdown(found: GateResult) -> str:
    """The gate as Markdown.

    Args:
        found: what became of the limits.
    """
    lines = [
        f"### {'Passed' if found.passes else 'Not passed'}. {summary(found)}",
        "",
        *table_lines(HEAD, rows_of(found)),
    ]
    said = [f"- {cell(f'{d.model}, {d.limit}: {d.why}')}" for d in found.decisions if d.why]
    said += [f"- {cell(note)}" for note in found.notes]
    return "\n".join([*lines, *([""] if said else []), *said]) + "\n"
