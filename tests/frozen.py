"""What was imported before this module, garbage is never looked for in again; the last that a fork server imports."""

from __future__ import annotations

import gc

gc.freeze()
