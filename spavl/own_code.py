"""Code of the user's own, named `package.module:name` in the settings and run only where that is allowed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spavl.errors import SettingsError, SpavlError

OWN_PACKAGE = "spavl"
"""What lies in this package needs no permission."""


def import_own(target: str, *, name: str, allow_code: bool, error: type[SpavlError] = SettingsError) -> Any:
    """The class or function that a setting names.

    Args:
        target: `package.module:name`.
        name: label of the settings entry, for messages.
        allow_code: import it from outside spavl too.
        error: class of the error.

    Raises:
        SpavlError: it lies outside spavl and is not allowed, or is not there; of the class `error`.
    """
    require_permission(target, name=name, allow_code=allow_code, error=error)
    module, _, attribute = target.partition(":")
    try:
        return vars(import_module(module))[attribute]
    except (ImportError, KeyError, ValueError) as cause:
        raise error(
            f"`{name}` cannot be built: {type(cause).__name__}: {cause}", where=target,
            try_="name it as package.module:name, in a package that Python finds",
        ) from cause  # fmt: skip


def require_permission(target: str, *, name: str, allow_code: bool, error: type[SpavlError] = SettingsError) -> None:
    """Refuse code from outside spavl where it is not allowed.

    Args:
        target: `package.module:name`.
        name: label of the settings entry, for messages.
        allow_code: whether it is allowed.
        error: class of the error.

    Raises:
        SpavlError: it is refused; of the class `error`.
    """
    if target.split(":")[0].split(".")[0] != OWN_PACKAGE and not allow_code:
        raise error(
            f"`{name}` runs code of its own, which is refused unless you say so", where=target,
            try_="if you have read that code, run again with --allow-code",
        )  # fmt: skip
