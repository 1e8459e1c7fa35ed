"""The environment variables of a runtime process and of an extension, as AWS sets them.

Source: AWS's developer guide, "Defined runtime environment variables", and environments printed by functions on AWS (2021 to 2026). Nothing of
the host's own environment is in them, least of all its credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from ..core.function import Function
from .model import DEFAULT_PATHS, Launch, Paths, ProjectError

RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
"""Keys that a function's configuration cannot set; AWS refuses the whole configuration."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
"""AWS: "Keys start with a letter and are at least two characters. Keys only contain letters, numbers, and the underscore character"."""

LIMIT_BYTES = 4096
"""AWS: "The total size of all environment variables doesn't exceed 4 KB"."""

_XRAY_PORT = 2000


class Credentials(Struct, frozen=True, kw_only=True):
    """What the function's SDK signs its requests with."""

    access_key_id: str = "ASIAIOSFODNN7EXAMPLE"
    secret_access_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    session_token: str = "frostline-local-session-token"


DUMMY_CREDENTIALS = Credentials()
"""The examples of AWS's own documentation: well-formed, and good for nothing. Requests to AWS itself are refused, requests to a local stand-in are accepted."""


def check_variables(variables: Mapping[str, str], where: str) -> None:
    """Hold a function's own variables to AWS's rules. Raises `ProjectError` in AWS's words; `where` begins the message."""
    reserved = sorted(RESERVED & variables.keys())
    if reserved:
        raise ProjectError(
            f"{where}: Lambda was unable to configure your environment variables because the environment variables you have provided contains "
            f"reserved keys that are currently not supported for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    for name in variables:
        if not _NAME.fullmatch(name):
            raise ProjectError(
                f"{where}: the environment variable {name!r} has a name that AWS refuses. A name starts with a letter, has at least two characters, "
                "and only letters, digits and underscores."
            )
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogatepass")) for name, value in variables.items())
    if size > LIMIT_BYTES:
        raise ProjectError(
            f"{where}: the environment variables take {size} bytes, and AWS allows {LIMIT_BYTES}. Move large values to a file."
        )
    broken = next((name for name, value in variables.items() if "\0" in value), None)
    if broken is not None:
        raise ProjectError(f"{where}: the environment variable {broken!r} contains a NUL character, which no process can be given.")


def runtime_environment(
    function: Function,
    launch: Launch,
    *,
    api: str,
    log_stream: str,
    paths: Paths = DEFAULT_PATHS,
    credentials: Credentials = DUMMY_CREDENTIALS,
) -> dict[str, str]:
    """The whole environment of a function's runtime process.

    `api` is `host:port` of the Runtime API as the process sees it, `log_stream` the environment's log stream. The function's own variables are
    stronger than the defaults and weaker than the reserved keys. `_X_AMZN_TRACE_ID` is missing on purpose: runtimes set it for each invocation.
    """
    launched = launch.variables(paths)
    variables = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        **_search_paths(paths),
        **_xray(api),
        **launched,
        **function.environment,
        **_platform(function, api, credentials),
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": paths.task,
        "LAMBDA_RUNTIME_DIR": paths.runtime,
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
    }
    if not function.runtime.startswith("provided"):
        # AWS: "not defined for functions that use the provided runtimes". The other two come from the shell script that starts a managed runtime.
        variables["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
        variables.setdefault("SHLVL", "0")
        variables.setdefault("PWD", paths.task)
    return variables


def extension_environment(
    function: Function,
    *,
    api: str,
    paths: Paths = DEFAULT_PATHS,
    credentials: Credentials = DUMMY_CREDENTIALS,
) -> dict[str, str]:
    """The whole environment of an external extension: less than the runtime's (AWS: "Environment variables specific to the runtime process")."""
    own = {name: value for name, value in function.environment.items() if not name.startswith("AWS_XRAY_")}
    return {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        **_search_paths(paths),
        **own,
        **_platform(function, api, credentials),
    }


def _search_paths(paths: Paths) -> dict[str, str]:
    """As on AWS, for every runtime."""
    return {
        "PATH": f"{paths.lang}/bin:/usr/local/bin:/usr/bin/:/bin:{paths.opt}/bin",
        "LD_LIBRARY_PATH": ":".join(
            (
                f"{paths.lang}/lib",
                "/lib64",
                "/usr/lib64",
                paths.runtime,
                f"{paths.runtime}/lib",
                paths.task,
                f"{paths.task}/lib",
                f"{paths.opt}/lib",
            )
        ),
    }


def _platform(function: Function, api: str, credentials: Credentials) -> dict[str, str]:
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
    }
    if function.log_format.upper() == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        if function.application_log_level:
            variables["AWS_LAMBDA_LOG_LEVEL"] = function.application_log_level
    return variables


def _xray(api: str) -> dict[str, str]:
    # The X-Ray daemon is at the Runtime API's own host on AWS. Nobody listens there here, and X-Ray SDKs send UDP and do not wait.
    host = api.rpartition(":")[0]
    return {
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": f"{host}:{_XRAY_PORT}",
        "_AWS_XRAY_DAEMON_ADDRESS": host,
        "_AWS_XRAY_DAEMON_PORT": str(_XRAY_PORT),
    }
