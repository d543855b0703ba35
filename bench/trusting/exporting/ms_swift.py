"""ms-swift's own dataset loader on an export, in its strict mode, and every picture opened."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def load(folder: Path) -> dict[str, Any]:
    """What came of loading an export.

    Args:
        folder: the export.
    """
    import swift
    from PIL import Image
    from swift.dataset import load_dataset
    from swift.utils import get_logger

    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(f"{record.name}: {record.getMessage()}")  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    logging.getLogger().addHandler(handler)
    found, _ = load_dataset(str(folder / "train.parquet"), strict=True)
    rows = list(found)
    names = [picture["path"] for row in rows for picture in row["images"] or []]
    for name in names:
        Image.open(folder / name).load()
    marks = sum(message["content"].count("<image>") for row in rows for message in row["messages"])
    assert marks == len(names), (marks, len(names))
    return {"version": swift.__version__, "rows": len(rows), "pictures": len(names), "warnings": lines}


if __name__ == "__main__":
    with TemporaryDirectory() as cache:
        os.environ["MODELSCOPE_CACHE"] = cache
        print(json.dumps(load(Path(sys.argv[1]))))
