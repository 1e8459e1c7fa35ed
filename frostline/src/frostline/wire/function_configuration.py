"""A function's configuration in the Lambda API's words: `FunctionConfiguration` out, `UpdateFunctionConfiguration` in.

Members and their presence follow AWS's answers for a zip function without VPC (recorded 2025-11); limits follow AWS's service model and
quotas page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from math import ceil

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from ..core.function import Function
from .aws_errors import bare_error, error, failed, must_be_one_of, must_match, validation_error
from .function_names import LATEST

MAX_ENVIRONMENT = 4096
"""Bytes of all environment variables, as the JSON that AWS measures."""

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
    }
)  # fmt: skip
"""AWS: "The keys for these environment variables are reserved and cannot be set in your function configuration"."""

_ROLE = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"


def configuration(function: Function, *, arn: str | None = None, listed: bool = False) -> dict[str, object]:
    """`FunctionConfiguration`. A `listed` one lacks the members that ListFunctions leaves out (AWS says which in ListFunctions'
    documentation).
    """
    logging: dict[str, object] = {"LogFormat": function.log_format, "LogGroup": function.log_group}
    if function.application_log_level:
        logging["ApplicationLogLevel"] = function.application_log_level
    if function.system_log_level:
        logging["SystemLogLevel"] = function.system_log_level
    found: dict[str, object] = {
        "FunctionName": function.name,
        "FunctionArn": arn or function.arn,
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "CodeSize": function.code_size,
        "Description": function.description,
        "Timeout": ceil(function.timeout_s),
        "MemorySize": function.memory_mb,
        "LastModified": function.last_modified,
        "CodeSha256": function.code_sha256,
        "Version": LATEST,
        "TracingConfig": {"Mode": function.tracing},
        "RevisionId": revision_id(function),
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": {"Size": function.ephemeral_mb},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": logging,
    }
    if function.environment:
        found["Environment"] = {"Variables": function.environment}
    if function.layers:
        found["Layers"] = [{"Arn": layer, "CodeSize": 0} for layer in function.layers]
    if not listed:
        found["State"] = "Active"
        found["LastUpdateStatus"] = "Successful"
        found["RuntimeVersionConfig"] = {"RuntimeVersionArn": runtime_version_arn(function)}
    return found


def revision_id(function: Function) -> str:
    """`RevisionId`: a UUID that changes whenever the function's revision does."""
    digest = sha256(f"{function.name}\0{function.revision}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def runtime_version_arn(function: Function) -> str:
    """A made-up runtime version: there is one per runtime here, the one on this machine."""
    return f"arn:aws:lambda:{function.region}::runtime:{sha256(function.runtime.encode()).hexdigest()}"


class Update(Struct, frozen=True):
    """What UpdateFunctionConfiguration asks for: `core.function.Function` fields and their new values.

    Apply with `msgspec.structs.replace(function, revision=..., last_modified=..., **update.changes)`; who applies it gives the new
    revision.
    """

    changes: dict[str, object]


def parse_update(body: bytes, function: Function, request_id: str) -> Update | bytes:
    """An UpdateFunctionConfiguration request's body; bytes are AWS's answer to what is wrong with it."""
    try:
        wanted = decode(body or b"{}")
    except (DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return bare_error(400, "SerializationException", f"the request body is not JSON: {problem}", request_id)
    if not isinstance(wanted, dict):
        return bare_error(400, "SerializationException", "the request body should be a JSON object", request_id)
    changes: dict[str, object] = {}
    failures: list[str] = []
    unsupported: list[str] = []
    for member, value in wanted.items():
        if member in ("FunctionName", "RevisionId") or value is None:
            continue
        read = _MEMBERS.get(member)
        if read is None:
            unsupported.append(member)
        else:
            read(value, changes, failures)
    if failures:
        return validation_error(failures, request_id)
    if unsupported:
        message = f"Frostline cannot change {', '.join(sorted(unsupported))}; what it can change: {', '.join(sorted(_MEMBERS))}"
        return error(400, "InvalidParameterValueException", message, request_id)
    revision = wanted.get("RevisionId")
    if revision is not None and revision != revision_id(function):
        message = (
            "The RevisionId provided does not match the latest RevisionId. "
            "Call the GetFunction API to retrieve the latest RevisionId for your resource."
        )
        return error(412, "PreconditionFailedException", message, request_id)
    problem_with_environment = _environment_problem(changes.get("environment"))
    if problem_with_environment:
        return error(400, "InvalidParameterValueException", problem_with_environment, request_id)
    return Update(changes)


def _environment_problem(variables: object) -> str | None:
    if not isinstance(variables, dict):
        return None
    reserved = [name for name in variables if name in RESERVED_VARIABLES]
    if reserved:
        return (
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains "
            f"reserved keys that are currently not supported for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = encode(variables)
    if len(measured) > MAX_ENVIRONMENT:
        return (
            "Lambda was unable to configure your environment variables because the environment variables you have provided "
            f"exceeded the 4KB limit. String measured: {measured.decode()}"
        )
    return None


Changes = dict[str, object]
Member = Callable[[object, Changes, list[str]], None]


def _text(member: str, field: str, most: int, pattern: str = "") -> Member:
    def read(value: object, changes: Changes, failures: list[str]) -> None:
        if not isinstance(value, str):
            failures.append(failed(value, member, "Member must be a string"))
        elif len(value) > most:
            failures.append(failed(value, member, f"Member must have length less than or equal to {most}"))
        elif pattern and not _matches(pattern, value):
            failures.append(failed(value, member, must_match(pattern)))
        else:
            changes[field] = value

    return read


def _number(member: str, field: str, least: int, most: int, kind: Callable[[int], object] = int) -> Member:
    def read(value: object, changes: Changes, failures: list[str]) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            failures.append(failed(value, member, "Member must be a number"))
        elif value < least:
            failures.append(failed(value, member, f"Member must have value greater than or equal to {least}"))
        elif value > most:
            failures.append(failed(value, member, f"Member must have value less than or equal to {most}"))
        else:
            changes[field] = kind(value)

    return read


def _choice(member: str, field: str, *values: str) -> Member:
    def read(value: object, changes: Changes, failures: list[str]) -> None:
        if value in values:
            changes[field] = value
        else:
            failures.append(failed(value, member, must_be_one_of(*values)))

    return read


def _structure(member: str, **parts: Member) -> Member:
    def read(value: object, changes: Changes, failures: list[str]) -> None:
        if not isinstance(value, dict):
            failures.append(failed(value, member, "Member must be a structure"))
            return
        for name, part in parts.items():
            if value.get(name) is not None:
                part(value[name], changes, failures)

    return read


def _variables(value: object, changes: Changes, failures: list[str]) -> None:
    if not isinstance(value, dict) or not all(isinstance(content, str) for content in value.values()):
        failures.append(failed(value, "environment.variables", "Member must be a map of strings"))
        return
    wrong = [name for name in value if not _matches(_VARIABLE, name)]
    failures += [failed(name, "environment.variables", f"Map keys must satisfy constraint: [{must_match(_VARIABLE)}]") for name in wrong]
    changes["environment"] = value


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value) is not None


_VARIABLE = r"[a-zA-Z]([a-zA-Z0-9_])+"
_MEMBERS: dict[str, Member] = {
    "Role": _text("role", "role", 10_000, _ROLE),
    "Handler": _text("handler", "handler", 128, r"[^\s]+"),
    "Description": _text("description", "description", 256),
    "Runtime": _text("runtime", "runtime", 64, r"[a-z][a-z0-9.]+"),
    "Timeout": _number("timeout", "timeout_s", 1, 900, float),
    "MemorySize": _number("memorySize", "memory_mb", 128, 10_240),
    "EphemeralStorage": _structure("ephemeralStorage", Size=_number("ephemeralStorage.size", "ephemeral_mb", 512, 10_240)),
    "Environment": _structure("environment", Variables=_variables),
    "TracingConfig": _structure("tracingConfig", Mode=_choice("tracingConfig.mode", "tracing", "Active", "PassThrough")),
    "LoggingConfig": _structure(
        "loggingConfig",
        LogFormat=_choice("loggingConfig.logFormat", "log_format", "JSON", "Text"),
        ApplicationLogLevel=_choice(
            "loggingConfig.applicationLogLevel", "application_log_level", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"
        ),
        SystemLogLevel=_choice("loggingConfig.systemLogLevel", "system_log_level", "DEBUG", "INFO", "WARN"),
    ),
}
