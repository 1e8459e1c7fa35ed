"""Reading a template: YAML with CloudFormation's tags, or JSON, into plain data that remembers its lines.

YAML is full of ways to be expensive (aliases of aliases) or endless (an alias of itself); here all of them end in a `ProjectError`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from .model import ProjectError

NAMES = ("template.yaml", "template.yml", "template.json")
"""What a template is called, in the order in which a directory is searched."""

LIMIT_BYTES = 1_000_000
"""AWS: a template has at most 1 MB."""

_LIMIT_NODES = 500_000
"""Values in a template after aliases are expanded; 1 MB of YAML without aliases has fewer."""


_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "value")}


class Lines(dict[str, Any]):
    """A mapping that knows in which line each of its keys stands."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def line_of(mapping: object, *keys: str) -> int | None:
    """The line of the last of `keys` that exists, going down from `mapping`; None where lines are not known (JSON)."""
    line = None
    for key in keys:
        if not isinstance(mapping, Lines) or key not in mapping:
            break
        line = mapping.lines.get(key, line)
        mapping = mapping[key]
    return line


def read_template(path: Path) -> dict[str, Any]:
    """The template in a file. Raises `ProjectError` with the line when it is not YAML or JSON, or not a mapping."""
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ProjectError(f"{path}: {path.stat().st_size} bytes, and a template has at most {LIMIT_BYTES}. Is this the right file?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path}: is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    return parse_template(text, str(path))


def parse_template(text: str, name: str) -> dict[str, Any]:
    """Like `read_template`, for text; `name` begins error messages."""
    try:
        content = _json(text, name) if name.endswith(".json") else _yaml(text, name)
    except RecursionError:
        raise ProjectError(f"{name}: is nested too deeply to be a template.") from None
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise ProjectError(f"{name}: is not a template: the file must hold a mapping with `Resources:`, and holds {found}.")
    return content


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ProjectError(f"{name}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}.") from None
    except ValueError as error:
        raise ProjectError(f"{name}: is not valid JSON: {error}.") from None


class _Loader(yaml.SafeLoader):
    """SafeLoader without dates: `2010-09-09` is the text that CloudFormation takes it for."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML declares it as an instance's
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _yaml(text: str, name: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Reader(loader, name).read(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        told = " ".join(part for part in (error.context, error.problem) if part)
        raise ProjectError(f"{place}: is not valid YAML: {told}.") from None
    except yaml.YAMLError as error:
        raise ProjectError(f"{name}: is not valid YAML: {error}.") from None


class _Reader:
    """Turns nodes into data. An alias yields the very object of its anchor, so aliases cost nothing here; `sizes` bounds what they stand for."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.made: dict[int, Any] = {}
        self.sizes: dict[int, int] = {}
        self.open: set[int] = set()

    def read(self, node: Node) -> Any:
        key = id(node)
        if key in self.made:
            return self.made[key]
        if key in self.open:
            raise self.error(node, "an alias that contains itself")
        self.open.add(key)
        self.made[key] = value = self.make(node)
        self.open.discard(key)
        return value

    def make(self, node: Node) -> Any:
        children: list[Node] = []
        if isinstance(node, MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, SequenceNode):
            children = node.value
        values = [self.read(child) for child in children]
        size = 1 + sum(self.sizes[id(child)] for child in children)
        if size > _LIMIT_NODES:
            raise self.error(node, f"more than {_LIMIT_NODES} values, once its aliases are expanded")
        self.sizes[id(node)] = size
        value = (
            self.mapping(node, values) if isinstance(node, MappingNode) else values if isinstance(node, SequenceNode) else self.scalar(node)
        )
        return self.tagged(node, value) if node.tag.startswith("!") else value

    def mapping(self, node: MappingNode, values: list[Any]) -> Lines:
        made = Lines()
        own: set[str] = set()
        for index, (key_node, value_node) in enumerate(node.value):
            key, value = values[2 * index], values[2 * index + 1]
            if key_node.tag == _MERGE:
                self.merge(made, value, value_node)
                continue
            if isinstance(key, (dict, list)):
                raise self.error(key_node, "a key that is not text")
            name = str(key_node.value)
            line = key_node.start_mark.line + 1
            if name in own:
                raise self.error(key_node, f"the key {name!r} a second time (the first is in line {made.lines[name]})")
            own.add(name)
            made[name] = value
            made.lines[name] = line
        return made

    def merge(self, made: Lines, value: Any, node: Node) -> None:
        """`<<: *other`: what is there already is stronger, whether it comes before or after."""
        for other in value if isinstance(value, list) else [value]:
            if not isinstance(other, Lines):
                raise self.error(node, "a merge (`<<`) of something that is not a mapping")
            for name in other.keys() - made.keys():
                made[name] = other[name]
                made.lines[name] = other.lines[name]

    def scalar(self, node: Node) -> Any:
        if node.tag.startswith("!") or node.tag == _MERGE:
            return node.value
        if node.tag not in _SCALARS:
            raise self.error(node, f"the tag {node.tag}, which is not CloudFormation's")
        try:
            return self.loader.construct_object(node, deep=True)
        except (ValueError, LookupError, OverflowError) as error:
            # `!!int` of nothing, `!!bool maybe`, `0x`: PyYAML raises whatever its parsing meets.
            raise self.error(node, f"a value that cannot be read as {node.tag.rpartition(':')[2]}: {node.value!r} ({error})") from None

    def tagged(self, node: Node, value: Any) -> dict[str, Any]:
        """CloudFormation's short forms: `!Ref x` is `{Ref: x}`, `!Sub x` is `{Fn::Sub: x}`, `!GetAtt a.b` is `{Fn::GetAtt: [a, b]}`."""
        tag = node.tag[1:]
        if tag == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        made = Lines()
        key = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
        made[key] = value
        made.lines[key] = node.start_mark.line + 1
        return made

    def error(self, node: Node, found: str) -> ProjectError:
        return ProjectError(f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: has {found}.")
