"""Tables of records: Parquet files with one row a record and every field side by side.

A record holds the one it came from and field names are unique along that chain, so flattening needs no prefixes:
`Response(query=Query(image=ImageRecord(topic=Topic(…))))` becomes a row with `class1 … image_id … question … response`.
Repeated text is dictionary-encoded by Parquet and costs almost nothing. Any tool reads the tables: pandas, DuckDB,
`datasets`, Ray.

`columns` turns records into Arrow and back; `files` reads and writes Parquet, slice by slice; `query` asks with SQL.
"""

from spavl.tables.columns import FORMAT, Record, columns_of, records_of, schema_of, to_arrow
from spavl.tables.files import (
    Footer,
    read_footer,
    read_rows,
    read_rows_near,
    read_slice,
    read_table,
    slices_of,
    write_arrow,
    write_batches,
    write_table,
)

__all__ = [
    "FORMAT",
    "Footer",
    "Record",
    "columns_of",
    "read_footer",
    "read_rows",
    "read_rows_near",
    "read_slice",
    "read_table",
    "records_of",
    "schema_of",
    "slices_of",
    "to_arrow",
    "write_arrow",
    "write_batches",
    "write_table",
]
