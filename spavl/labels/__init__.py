"""What people said of pairs and answers: the items that they are shown, and their labels.

In reading order: `record` (an item, a label), `plain` (both as plain data), `database` and `queue` (the tables of a
review, and what is shown next), `store` (the review, opened), `exchange` (CSV, JSON, Label Studio).
"""

from spavl.labels.record import Answer, Item, ItemKind, Label, Preference, Shown, current_labels

__all__ = ["Answer", "Item", "ItemKind", "Label", "Preference", "Shown", "current_labels"]
