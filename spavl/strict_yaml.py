"""YAML that refuses a key that stands twice in one mapping, of which PyYAML would silently keep the last."""

from __future__ import annotations

from typing import Any

import yaml
from typing_extensions import override

LONGEST_NAME = 40
"""Most letters of a key that a message shows: a longer one is no name, and may be a harmful text."""


def load_yaml(text: str) -> Any:
    """The tree of mappings, lists and plain values that a YAML text holds.

    Args:
        text: the YAML document; only plain values are built, no Python objects.

    Raises:
        yaml.YAMLError: not YAML, a key twice in one mapping, or a value that YAML gives a meaning it cannot have
            (`2024-13-45` reads as a date).
    """
    try:
        return yaml.load(text, Loader=_Strict)
    except ValueError as error:
        raise yaml.YAMLError(f"{error} (put quotes around what is meant as text)") from error
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


class _Strict(yaml.SafeLoader):
    """PyYAML's safe loader, made to refuse two equal keys."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                named = f"`{key}`" if len(str(key)) <= LONGEST_NAME and " " not in str(key) else "a key"
                raise yaml.constructor.ConstructorError(
                    None, None, f"{named} stands twice, in line {lines[key]} and in line {line}", None
                )
            lines[key] = line
        return super().construct_mapping(node, deep)
