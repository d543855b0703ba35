"""Pictures found, checked as untrusted input, filtered and stored: whatever its source, each has a record or a reason.

A source yields candidates (`folder`, `manifest`, `hub`, `search`), whose pictures of the web `downloads` gets;
`inspect` reads and decodes them; `filters` and `duplicates` drop some; `store` copies the others under the
hash of their bytes.
"""

from spavl.dataset.collect.candidate import FILE_READERS, FILTERS, Candidate, FilterName, Rejected, Unusable
from spavl.dataset.collect.downloads import Downloads
from spavl.dataset.collect.filters import Filters, checks_of, filters_stamp, open_filters
from spavl.dataset.collect.folder import file_candidate, find, passed_over
from spavl.dataset.collect.hub import find_in_dataset
from spavl.dataset.collect.manifest import find_in_manifest
from spavl.dataset.collect.store import collect, unusable

__all__ = [
    "FILE_READERS", "FILTERS", "Candidate", "Downloads", "FilterName", "Filters", "Rejected", "Unusable", "checks_of",
    "collect", "file_candidate", "filters_stamp", "find", "find_in_dataset", "find_in_manifest", "open_filters",
    "passed_over", "unusable",
]  # fmt: skip
