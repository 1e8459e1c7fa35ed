"""Reading one resource's properties: resolved, checked, and never without the place where they stand.

A template is somebody's text, so every property may be missing, of any type, or out of range. The readers here return what was asked for, or raise
`ProjectError` with file, line, resource, property, what was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .intrinsics import NO_VALUE, Resolver, Unresolved
from .model import ProjectError
from .template import line_of


class Properties:
    """The properties of the resource `name`, in the template `file`."""

    def __init__(self, file: Path, template: Mapping[str, Any], name: str, written: Mapping[str, Any], resolver: Resolver) -> None:
        self.file = file
        self.template = template
        self.name = name
        self.written = written
        self.resolver = resolver

    def where(self, *path: str) -> str:
        """`template.yaml:12: HelloFunction.Timeout`: how every message about this resource begins."""
        line = line_of(self.template, "Resources", self.name, "Properties", *path)
        place = f"{self.file}:{line}" if line else str(self.file)
        return f"{place}: {'.'.join((self.name, *path))}"

    def error(self, path: tuple[str, ...], message: str) -> ProjectError:
        """A `ProjectError` about a property."""
        return ProjectError(f"{self.where(*path)}: {message}")

    def written_at(self, *path: str) -> Any:
        """The value at a path as it is written; on the way down only mappings that are functions are resolved."""
        value: Any = self.written
        for depth, key in enumerate(path):
            if is_function(value):
                value = self.resolved(value, path[:depth])
            if value is None:
                return None
            if not isinstance(value, dict):
                raise self.error(path[:depth], f"must be a mapping, and is {_shown(value)}.")
            value = value.get(key)
        return value

    def value(self, *path: str) -> Any:
        """The resolved value at a path, or None."""
        return self.resolved(self.written_at(*path), path)

    def resolved(self, value: Any, path: tuple[str, ...]) -> Any:
        """A value without intrinsic functions; None for `AWS::NoValue`."""
        if not isinstance(value, (dict, list, str)):
            return value
        try:
            resolved = self.resolver.resolve(value)
        except Unresolved as error:
            raise self.error(path, f"cannot be resolved: {error}.") from None
        return None if resolved is NO_VALUE else resolved

    def text(self, *path: str, default: str | None = None) -> str | None:
        """A text; numbers count as text, as in CloudFormation."""
        value = self.value(*path)
        if value is None:
            return default
        return self.as_text(value, path)

    def required(self, *path: str, hint: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(*path)
        if not value:
            raise self.error(path, f"is missing. {hint}")
        return value

    def number(self, *path: str, least: int, most: int, default: int) -> int:
        """A whole number within AWS's limits; numbers written as text count."""
        value = self.value(*path)
        if value is None:
            return default
        try:
            number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise self.error(path, f"must be a whole number from {least} to {most}, and is {_shown(value)}.")
        return number

    def list(self, *path: str) -> list[Any]:
        """A list; a single value counts as a list of one, and None as an empty one."""
        value = self.value(*path)
        if value is None:
            return []
        return [item for item in value if item is not None] if isinstance(value, list) else [value]

    def texts(self, *path: str) -> dict[str, str]:
        """A mapping of texts: environment variables. They are resolved one by one, so that an error names the one that is wrong."""
        written = self.written_at(*path)
        if is_function(written):
            written = self.resolved(written, path)
        if written is None:
            return {}
        if not isinstance(written, dict):
            raise self.error(path, f"must be a mapping of names and texts, and is {_shown(written)}.")
        made = {}
        for key, item in written.items():
            value = self.resolved(item, (*path, key))
            if value is not None:
                made[key] = self.as_text(value, (*path, key))
        return made

    def as_text(self, value: object, path: tuple[str, ...]) -> str:
        """CloudFormation turns scalars into text; anything else is an error."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return str(value)
        raise self.error(path, f"must be text, and is {_shown(value)}.")


def is_function(value: object) -> bool:
    """Whether a written value is an intrinsic function: `{"Ref": ...}`, `{"Fn::Sub": ...}`."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return f"a mapping ({', '.join(map(str, list(value)[:3]))})" if value else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
