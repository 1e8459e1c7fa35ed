"""Resolving CloudFormation's intrinsic functions and conditions, by cloud-radar: the one seam to that library.

cloud-radar renders whole templates and stops at the first thing it cannot know. A template for a local Lambda is full of such things (a table's ARN, an
export of another stack) beside the few that matter, so single values are resolved here, on demand, and what exists only on AWS is replaced by a
placeholder and reported: see `Resolver.placeholders`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..core.function import ACCOUNT_ID

STACK = "frostline"


class Unresolved(Exception):
    """A value cannot be resolved; the text says why."""


class _NoValue:
    """`AWS::NoValue`: the property is as if it were not there. (cloud-radar's own is the empty text, which is a value.)"""

    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()


class _Attributes(dict[str, Any]):
    """`Fn::GetAtt` of a resource: known attributes, and a placeholder for any other."""

    def __init__(self, known: Mapping[str, Any], logical_id: str, placeholders: dict[str, str]) -> None:
        super().__init__(known)
        self.logical_id = logical_id
        self.placeholders = placeholders

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - cloud-radar's default is what is replaced
        if name in self:
            return self[name]
        text = f"{self.logical_id}.{name}"
        return self.placeholders.setdefault(text, text)


class Known(dict[str, Any]):
    """What `Ref` and `Fn::GetAtt` of a resource yield here, where that is known: `{"ref": ..., "Arn": ...}`."""


class _Reference(dict[str, Any]):
    """The metadata in which cloud-radar looks for what `Ref` and `Fn::GetAtt` of a resource yield."""

    def __init__(self, logical_id: str, known: Known, placeholders: dict[str, str]) -> None:
        super().__init__({"attribute-values": _Attributes(known, logical_id, placeholders)})
        self.logical_id = logical_id
        self.ref = known.get("ref")
        self.placeholders = placeholders

    def get(self, name: str, default: Any = None) -> Any:
        if name != "ref":
            return super().get(name, default)
        if self.ref is not None:
            return self.ref
        return self.placeholders.setdefault(self.logical_id, self.logical_id)


class _Conditions(dict[str, Any]):
    """Conditions are resolved when they are asked for: one that is wrong and unused harms nobody."""

    def __init__(self, written: Mapping[str, Any], resolve: Any) -> None:
        super().__init__(written)
        self.resolve = resolve
        self.open: set[str] = set()

    def __getitem__(self, name: str) -> bool:
        if name not in self:
            raise Unresolved(f"there is no condition {name!r} in `Conditions`")
        if name in self.open:
            raise Unresolved(f"the condition {name!r} refers to itself")
        self.open.add(name)
        try:
            value = self.resolve(copy.deepcopy(super().__getitem__(name)))
        finally:
            self.open.discard(name)
        if not isinstance(value, bool):
            raise Unresolved(f"the condition {name!r} is {value!r}, and neither true nor false")
        return value


class _NoHooks:
    """cloud-radar's checks of whole templates: nothing here is one, and they print to standard output."""

    def evaluate_template_hooks(self, template: object) -> None:
        """Check nothing."""


class Resolver:
    """Resolves values of one template."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str], known: Mapping[str, Known], region: str) -> None:
        """`parameters` override the template's defaults; those it does not declare are the caller's to refuse. `known` is by logical id."""
        from cloud_radar.cf.unit import Template, functions  # slow to import, and only templates need it

        placeholders: dict[str, str] = {}

        class Rendering(Template):  # type: ignore[misc]
            """A template of which single values are rendered. The attributes are the pseudo parameters `AWS::...`."""

            Hooks = _NoHooks()
            AccountId = ACCOUNT_ID
            NoValue = NO_VALUE
            StackName = STACK
            StackId = f"arn:aws:cloudformation:{region}:{ACCOUNT_ID}:stack/{STACK}/00000000-0000-0000-0000-000000000000"

            def resolve_dynamic_references(self, data: str) -> str:
                # {{resolve:ssm:...}} and {{resolve:secretsmanager:...}} are read by CloudFormation, at deployment.
                if "{{resolve:" in data:
                    placeholders.setdefault(data, data)
                return data

        self.placeholders = placeholders
        """What stands for a value that exists only on AWS, as resolved so far."""
        resources = _mapping(template.get("Resources"))
        self.rendering = Rendering({"Resources": {}})
        self.rendering.template = {
            "Metadata": {"Cloud-Radar": {"Region": region}},
            "Parameters": _parameters(_mapping(template.get("Parameters")), parameters),
            "Mappings": _mapping(template.get("Mappings")),
            "Conditions": _Conditions(_mapping(template.get("Conditions")), self._resolve),
            "Resources": {
                name: {"Metadata": {"Cloud-Radar": _Reference(name, known.get(name, Known()), self.placeholders)}} for name in resources
            },
        }
        languages = functions.TRANSFORMS["AWS::LanguageExtensions"]
        self.rendering.allowed_functions = {
            **functions.ALL_FUNCTIONS,
            **languages,
            "Fn::ImportValue": lambda _, name: self._placeholder(f"ImportValue:{name}"),
            "Fn::GetAZs": lambda _, zone: [f"{zone or region}{letter}" for letter in "abc"],
            "Fn::Transform": lambda _, value: self._placeholder("Transform"),
        }

    def _placeholder(self, text: str) -> str:
        return self.placeholders.setdefault(text, text)

    def _resolve(self, value: Any) -> Any:
        return self.rendering.resolve_values(value)

    def resolve(self, value: Any) -> Any:
        """`value` without intrinsic functions; `NO_VALUE`, or without the parts that are `AWS::NoValue`. Raises `Unresolved`."""
        try:
            return _without_no_value(self._resolve(copy.deepcopy(value)))
        except Unresolved:
            raise
        except RecursionError:
            raise Unresolved("it is nested too deeply") from None
        except KeyError as error:
            raise Unresolved(_missing(error)) from None
        except Exception as error:  # noqa: BLE001 - cloud-radar raises whatever its lookups meet; this is the one place that translates it
            raise Unresolved(str(error).rstrip(".") or type(error).__name__) from None

    def condition(self, name: object) -> bool:
        """Whether a resource with `Condition: name` is there. Raises `Unresolved`."""
        if not isinstance(name, str):
            raise Unresolved(f"a condition is named by text, and this is {name!r}")
        return bool(self.resolve({"Condition": name}))


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _missing(error: KeyError) -> str:
    name = error.args[0] if error.args else ""
    if name == "Value":
        return "a parameter that it refers to has neither a default nor a value: give it with --parameter Name=Value"
    return str(name).rstrip(".")


def _parameters(declared: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, written in declared.items():
        definition = {"Type": str(_mapping(written).get("Type", "String"))}
        if definition["Type"].startswith("AWS::SSM::Parameter::Value<"):
            # The default is a name in the Parameter Store, which cannot be asked: it stands for its value.
            definition["Type"] = "CommaDelimitedList" if "List" in definition["Type"] else "String"
        value = given.get(name, _mapping(written).get("Default"))
        if value is not None:
            definition["Value"] = _text(value)
        made[name] = definition
    return made


def _text(value: Any) -> str:
    # CloudFormation's parameters are text, whatever YAML makes of `true` and `3`.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_no_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_no_value(item) for key, item in value.items() if item is not NO_VALUE}
    if isinstance(value, list):
        return [_without_no_value(item) for item in value if item is not NO_VALUE]
    return value
