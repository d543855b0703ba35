"""Write the generated pages of docs/reference: `make docs`. A test holds them fresh."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from bench.frame import table
from spavl import records
from spavl.cli.settings_help import explain

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
NOUNS = (
    records.Topic, records.ImageRecord, records.Query, records.Response, records.Match, records.Judgment,
    records.PreferencePair,
)  # fmt: skip


def pages() -> dict[str, str]:
    """Every generated page by file name."""
    return {
        "settings.md": settings_page(),
        "commands.md": commands_page(),
        "nouns.md": nouns_page(),
        "benchmarks.md": benchmarks_page(),
    }


def settings_page() -> str:
    """All settings, as `spavl settings` prints them."""
    return f"# Settings\n\nWritten by `make docs` from the settings themselves.\n\n```text\n{explain().strip()}\n```\n"


def commands_page() -> str:
    """Every verb's own help."""
    verbs = re.findall(r"^│ (\w+) ", _help(), re.M)
    parts = [f"## spavl {verb}\n\n```text\n{_help(verb).strip()}\n```\n" for verb in verbs]
    return "# Commands\n\nWritten by `make docs` from the commands themselves.\n\n" + "\n".join(parts)


def nouns_page() -> str:
    """Every record with its own columns and their meaning."""
    parts = [_noun(kind) for kind in NOUNS]
    head = "# Nouns\n\nWritten by `make docs`. A record holds the one it came from; a table has all columns.\n\n"
    return head + "\n".join(parts)


def benchmarks_page() -> str:
    """Every committed measurement, with the machine it was made on and how."""
    head = (
        "# Benchmarks\n\nWritten by `make docs` from `bench/results/*.json`. `not here`: there is no floor, or this "
        "machine could not measure it. On a CPU every lap against TRL is a process of its own: spavl waits "
        "for threads as its command line does (`spavl/threads.py`), TRL as torch does unless told otherwise.\n\n"
    )
    return head + "\n".join(_measured(path) for path in sorted((ROOT / "bench" / "results").glob("*.json")))


def _measured(path: Path) -> str:
    tree = json.loads(path.read_text("utf-8"))
    machine = tree["machine"]
    where = f"{machine['cores']} cores, {machine['memory_gb']:.0f} GiB, {machine['gpu'] or 'no GPU'}"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    how = "\n".join(f"- *{row['name']}*: {row['how']}" for row in tree["measures"])
    return f"## {path.stem}\n\n{where}; {versions}.\n\n{table(tree['measures'])}\n\n{how}\n"


def _noun(kind: type) -> str:
    source = inspect.getsource(kind)
    rows = []
    for field in dataclasses.fields(kind):
        found = re.search(rf'^    {field.name}: [^\n]+\n    """(.*?)"""', source, re.M | re.S)
        meaning = " ".join(found.group(1).split()) if found else ""
        rows.append(f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` | {meaning} |")
    return (
        f"## {kind.__name__}\n\n{kind.__doc__}\n\n| column | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _help(*words: str) -> str:
    environment = {**os.environ, "COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "spavl", *words, "--help"], capture_output=True, text=True, check=True, env=environment,
        cwd=ROOT,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def readme() -> str:
    """The README with its map of the house as the tree stands."""
    text = (ROOT / "README.md").read_text("utf-8")
    before, rest = text.split("<!-- map -->")
    _, after = rest.split("<!-- /map -->")
    return f"{before}<!-- map -->\n{house_map()}\n<!-- /map -->{after}"


def house_map() -> str:
    """Every module of the package with the first sentence of its docstring."""
    lines = []
    for path in sorted((ROOT / "spavl").rglob("*.py"), key=_place):
        inside = path.relative_to(ROOT)
        phrase = _phrase(path)
        name = f"{inside.parent}/" if path.name == "__init__.py" else f"  {'  ' * (len(inside.parts) - 2)}{path.name}"
        if phrase or path.name != "__init__.py":
            lines.append(f"{name:<32} {phrase}".rstrip())
    body = "\n".join(lines)
    return f"<details><summary>Every file, one phrase</summary>\n\n```text\n{body}\n```\n\n</details>"


def _place(path: Path) -> tuple[str, ...]:
    """Files of a folder before its sub-folders, `__init__` first."""
    parts = path.relative_to(ROOT).parts
    return (*(f"~{p}" for p in parts[1:-1]), "" if path.name == "__init__.py" else parts[-1])


def _phrase(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.;]) ", first)[0].rstrip(".;")
    return sentence if len(sentence) <= 100 else sentence[:98].rsplit(" ", 1)[0].rstrip(",—") + " …"


if __name__ == "__main__":
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, "utf-8")
        print(f"wrote docs/reference/{name}")
    (ROOT / "README.md").write_text(readme(), "utf-8")
    print("wrote the map in README.md")
