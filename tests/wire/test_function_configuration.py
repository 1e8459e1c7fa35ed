"""A function's configuration in AWS's words."""

from __future__ import annotations

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.function import Function
from frostline.wire.function_configuration import Update, configuration, parse_update, revision_id
from frostline.wire.invoke_api import UpdateConfigurationCall

from .dialogue import response
from .sdk import Service

FUNCTION = Function(
    name="f",
    runtime="python3.12",
    handler="handler.handler",
    revision="r1",
    memory_mb=256,
    timeout_s=5.0,
    environment={"A": "b"},
    code_sha256="x",
    code_size=7,
    last_modified="2026-11-22T10:00:00.000+0000",
)


def test_a_configuration_has_the_members_that_aws_answers_with() -> None:
    """Recorded 2025-11 (`test_function_lifecycle`), for a zip function that is ready."""
    found = configuration(FUNCTION)
    arn = found.pop("RuntimeVersionConfig")
    assert isinstance(arn, dict) and arn["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert found == {
        "Architectures": ["x86_64"],
        "CodeSha256": "x",
        "CodeSize": 7,
        "Description": "",
        "Environment": {"Variables": {"A": "b"}},
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "FunctionName": "f",
        "Handler": "handler.handler",
        "LastModified": "2026-11-22T10:00:00.000+0000",
        "LastUpdateStatus": "Successful",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
        "MemorySize": 256,
        "PackageType": "Zip",
        "RevisionId": revision_id(FUNCTION),
        "Role": "arn:aws:iam::123456789012:role/frostline-local",
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Active",
        "Timeout": 5,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }


def test_members_that_depend_on_the_function() -> None:
    bare = configuration(msgspec.structs.replace(FUNCTION, environment={}))
    assert "Environment" not in bare and "Layers" not in bare
    full = configuration(
        msgspec.structs.replace(FUNCTION, layers=("arn:l",), log_format="JSON", application_log_level="INFO", system_log_level="WARN")
    )
    assert full["Layers"] == [{"Arn": "arn:l", "CodeSize": 0}]
    assert full["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/f",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }


def test_botocore_knows_every_member() -> None:
    found = Service(FUNCTION).client.get_function_configuration(FunctionName="f")
    found.pop("ResponseMetadata")
    assert found == configuration(FUNCTION)


def test_the_revision_id_changes_with_the_revision() -> None:
    assert revision_id(FUNCTION) != revision_id(msgspec.structs.replace(FUNCTION, revision="r2"))
    assert [len(part) for part in revision_id(FUNCTION).split("-")] == [8, 4, 4, 4, 12]


def updated(**parameters: object) -> dict[str, object]:
    service = Service(FUNCTION)
    service.client.update_function_configuration(FunctionName="f", **parameters)
    assert isinstance(service.call, UpdateConfigurationCall)
    return service.call.update.changes


def test_an_update_of_everything_that_can_be() -> None:
    changes = updated(
        Description="d",
        Timeout=900,
        MemorySize=512,
        Handler="a.b",
        Runtime="python3.13",
        Role="arn:aws:iam::123456789012:role/r",
        Environment={"Variables": {"AB": "c"}},
        EphemeralStorage={"Size": 1024},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "INFO"},
        RevisionId=revision_id(FUNCTION),
    )
    function = msgspec.structs.replace(FUNCTION, **changes)
    assert configuration(function)["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/f",
        "ApplicationLogLevel": "DEBUG",
        "SystemLogLevel": "INFO",
    }
    assert (function.timeout_s, function.memory_mb, function.ephemeral_mb, function.environment) == (900.0, 512, 1024, {"AB": "c"})
    assert (function.description, function.handler, function.runtime, function.tracing) == ("d", "a.b", "python3.13", "Active")


def test_an_update_of_nothing() -> None:
    assert updated() == {}


@pytest.mark.parametrize(
    ("parameters", "code", "part"),
    [
        (
            {"Timeout": 901},
            "ValidationException",
            "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than",
        ),
        ({"Timeout": 0}, "ValidationException", "Member must have value greater than or equal to 1"),
        ({"MemorySize": 127}, "ValidationException", "Value '127' at 'memorySize'"),
        ({"EphemeralStorage": {"Size": 1}}, "ValidationException", "ephemeralStorage.size"),
        (
            {"Role": "r1"},
            "ValidationException",
            "Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression",
        ),
        ({"Description": "x" * 257}, "ValidationException", "length less than or equal to 256"),
        ({"TracingConfig": {"Mode": "x"}}, "ValidationException", "[Active, PassThrough]"),
        ({"Environment": {"Variables": {"1": "x"}}}, "ValidationException", "environment.variables"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "reserved keys"),
        ({"VpcConfig": {"SubnetIds": []}}, "InvalidParameterValueException", "cannot change VpcConfig"),
        ({"RevisionId": "other"}, "PreconditionFailedException", "does not match the latest RevisionId"),
    ],
)
def test_updates_that_are_refused(parameters: dict[str, object], code: str, part: str) -> None:
    with pytest.raises(ClientError) as caught:
        updated(**parameters)
    assert caught.value.response["Error"]["Code"] == code and part in caught.value.response["Error"]["Message"]


def test_too_large_an_environment_as_recorded_on_aws() -> None:
    with pytest.raises(ClientError) as caught:
        updated(Environment={"Variables": {"SMALL_VAR": "ok", "LARGE_VAR": "x" * 4096}})
    assert caught.value.response["Error"]["Message"] == (
        "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded "
        'the 4KB limit. String measured: {"SMALL_VAR":"ok","LARGE_VAR":"' + "x" * 4096 + '"}'
    )


@pytest.mark.parametrize("body", [b"[", b"[]", b"\xff", b'"\xff"', b"[" * 9000])
def test_an_update_that_is_no_object(body: bytes) -> None:
    found = parse_update(body, FUNCTION, "id")
    assert isinstance(found, bytes) and response(found).status == 400


members = st.sampled_from(["Timeout", "MemorySize", "Environment", "LoggingConfig", "Role", "Runtime", "Layers", "RevisionId", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.sampled_from(["Variables", "Size", "LogFormat", "A"]), part, max_size=2),
)


@given(st.dictionaries(members, values))
def test_any_object_is_an_update_or_refused(body: dict[str, object]) -> None:
    found = parse_update(msgspec.json.encode(body), FUNCTION, "id")
    if isinstance(found, Update):
        configuration(msgspec.structs.replace(FUNCTION, **found.changes))
    else:
        assert response(found).status in (400, 412)
