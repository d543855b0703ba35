"""What is nearly the same: pictures by their PDQ hashes, texts by their MinHashes, and indexes that find both.

`pdq` (hash of a picture), `hamming` (hashes near another), `disk_rows` (rows of numbers on disk).
"""
