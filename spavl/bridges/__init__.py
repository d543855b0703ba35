"""Bridges to other evaluation frameworks, each an extra: `lmms` (lmms-eval), `inspect` (Inspect).

`chat` holds what they share: messages and pictures of theirs as a prompt of ours.
"""
