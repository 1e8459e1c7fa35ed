"""The ways to name a function in the Lambda API: name, `name:qualifier`, ARN, partial ARN, and a qualifier beside it.

Checks, their order and their messages were compared with AWS's answers (recorded 2025-11, LocalStack's snapshots of
`test_function_name_and_qualifier_validation`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from ..core.function import ACCOUNT_ID, Function
from .aws_errors import error, failed, function_not_found, must_match, validation_error

LATEST = "$LATEST"

_ARN = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"


class Naming(Struct, frozen=True):
    """How one operation names functions: its patterns (AWS's, they appear in messages) and limits."""

    name_pattern: str
    name_limit: int
    qualifier_pattern: str
    names_latest: bool
    """`Function not found` names `$LATEST` when the caller named no qualifier."""


INVOKE = Naming(
    _ARN + r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?", 256, r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+", True
)
"""Invoke and InvokeWithResponseStream."""

GET = Naming(INVOKE.name_pattern, 256, INVOKE.qualifier_pattern, False)
"""GetFunction and GetFunctionConfiguration."""

UPDATE = Naming(_ARN + r"([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?", 140, r"(|[a-zA-Z0-9$_-]+)", False)
"""UpdateFunctionConfiguration."""

_QUALIFIER_LIMIT = 128
_NAME_GROUP, _QUALIFIER_GROUP = 11, 13
"""Groups of the patterns above: the bare name, the qualifier after it."""
_REGION_GROUP = 3


class Target(Struct, frozen=True):
    """A function that exists, and how the caller named it."""

    function: Function
    qualified: bool
    """The caller said `$LATEST` (the only version there is), so its ARN says so too."""

    @property
    def arn(self) -> str:
        return f"{self.function.arn}:{LATEST}" if self.qualified else self.function.arn


def resolve(name: str, qualifier: str | None, functions: Mapping[str, Function], naming: Naming, request_id: str) -> Target | bytes:
    """The function that a request means; bytes are AWS's answer when there is none, or the name is none.

    The account in an ARN is not compared: every function here lives in the one local account, and callers bring the ARNs of their own.
    """
    if qualifier is None and (function := functions.get(name)) is not None:
        return Target(function, qualified=False)  # nearly every call: the bare name of a function that exists
    failures: list[str] = []
    if qualifier is not None:
        if len(qualifier) > _QUALIFIER_LIMIT:
            failures.append(failed(qualifier, "qualifier", f"Member must have length less than or equal to {_QUALIFIER_LIMIT}"))
        elif not re.fullmatch(naming.qualifier_pattern, qualifier):
            failures.append(failed(qualifier, "qualifier", must_match(naming.qualifier_pattern)))
    match = re.fullmatch(naming.name_pattern, name)
    if len(name) > naming.name_limit:
        failures.append(failed(name, "functionName", f"Member must have length less than or equal to {naming.name_limit}"))
    elif match is None:
        failures.append(failed(name, "functionName", must_match(naming.name_pattern)))
    if failures or match is None:
        return validation_error(failures, request_id)
    bare, derived = match[_NAME_GROUP], match[_QUALIFIER_GROUP]
    if qualifier and derived and qualifier != derived:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        return error(400, "InvalidParameterValueException", message, request_id)
    version = qualifier or derived
    function = functions.get(bare)
    region = (match[_REGION_GROUP] or "").rstrip(":")
    here = _region(function, functions)
    if region and region != here:
        message = f"Functions from '{region}' are not reachable in this region ('{here}')"
        return error(404, "ResourceNotFoundException", message, request_id)
    if function is None or version not in (None, "", LATEST):
        arn = function.arn if function else f"arn:aws:lambda:{here}:{ACCOUNT_ID}:function:{bare}"
        suffix = version or (LATEST if naming.names_latest else "")
        return function_not_found(f"{arn}:{suffix}" if suffix else arn, request_id)
    return Target(function, version == LATEST)


def _region(function: Function | None, functions: Mapping[str, Function]) -> str:
    if function is None:
        function = next(iter(functions.values()), None)
    return function.region if function else "us-east-1"
