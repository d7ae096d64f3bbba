"""Values of a YAML file, read with care, and the line that each stands on.

Of what YAML 1.1 turns into other values only what looks like them is: true and false are truth
values, but yes, no, on and off are words; 90 is a number, but 1:30, one to the base of 60, is none.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from multimodal.core.records import check_extent

Place = tuple[int | str, ...]  # the keys and positions that lead to a value


_OWN = (":bool", ":int", ":float")


class _Loader(yaml.SafeLoader):
    """A loader of plain values that refuses a key which occurs twice."""

    yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in found if not tag.endswith(_OWN)]
        for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and name in seen:
                raise ValueError(
                    f"The key '{name:.80}' stands in line {seen[name]} and again in line {line}."
                )
            seen[name] = line
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    ("float", r"[-+]?(?:\.\d+|\d+\.\d*|\d+(?=[eE]))(?:[eE][-+]?\d+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), list(_first)
    )


def load_yaml(text: str) -> tuple[Any, dict[Place, int]]:
    """Return the values of a YAML document, and the lines of their keys, counted from 1.

    Raises:
        ValueError, yaml.YAMLError: It is no YAML, a key occurs twice in one mapping, or its aliases
            would multiply it.

    Example:
    >>> load_yaml("training:\\n  epochs: 3")
    ({'training': {'epochs': 3}}, {('training',): 1, ('training', 'epochs'): 2})
    """
    # The nodes are looked at before they are constructed: a loader executes nothing, but unfolds
    # aliases, so that a kilobyte may become gigabytes.
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        check_extent(node)
        return loader.construct_document(node), _lines(node, ())
    finally:
        loader.dispose()


def _lines(node: yaml.Node, place: Place) -> dict[Place, int]:
    """Return the line of each key of a mapping, and of each entry of a list, below a node."""
    found: dict[Place, int] = {}
    inner: list[tuple[int | str, yaml.Node, yaml.Node]]
    if isinstance(node, yaml.MappingNode):
        inner = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inner = [(number, value, value) for number, value in enumerate(node.value)]
    else:
        return found
    for name, start, value in inner:
        found[(*place, name)] = start.start_mark.line + 1
        found |= _lines(value, (*place, name))
    return found
