"""Rows of the files that people have: JSON lines, a JSON array or object, CSV, TSV and Parquet, each also as `.gz`.

The one reader for benchmarks and preference files. A file is read by what it holds, and not by the end of its name:

- JSON lines: an object on each line; lines end at a line feed alone, so that U+2028 and its like stay in their strings;
- a JSON array of objects; an object of objects by id, whose keys become the field `id`; an object that holds the list
  under `data`, `questions` or the like;
- CSV or TSV with a line of column names: every cell is text, an empty one is None;
- Parquet, a few rows at a time.

All are read row by row and never held as a whole but a JSON object, which must be of at most `MOST` bytes.
"""

from spavl.rows.brief import brief, is_short, listed
from spavl.rows.read import Row, rows_of

__all__ = ["Row", "brief", "is_short", "listed", "rows_of"]
