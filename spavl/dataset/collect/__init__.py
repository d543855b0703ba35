"""Pictures found, checked as untrusted input, filtered and stored: whatever its source, each has a record or a reason.

A source yields candidates (`folder`), `inspect` reads and decodes them, the filters and `duplicates` drop some, and
`store` copies the others under the hash of their bytes.
"""

from spavl.dataset.collect.candidate import FILE_READERS, FILTERS, Candidate, FilterName, Rejected, Unusable
from spavl.dataset.collect.duplicates import SeenPictures
from spavl.dataset.collect.folder import file_candidate, find, passed_over
from spavl.dataset.collect.store import collect, unusable

__all__ = [
    "FILE_READERS", "FILTERS", "Candidate", "FilterName", "Rejected", "SeenPictures", "Unusable", "collect",
    "file_candidate", "find", "passed_over", "unusable",
]  # fmt: skip
