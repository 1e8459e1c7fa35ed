"""Names of functions, and AWS's recorded answers to wrong ones."""

from __future__ import annotations

import pytest

from frostline.core.function import Function
from frostline.wire.function_names import GET, INVOKE, UPDATE, Target, resolve

from .dialogue import response

FUNCTION = Function(name="my-function", runtime="python3.12", handler="h", revision="1", region="eu-central-1")
FUNCTIONS = {"my-function": FUNCTION}
ARN = "arn:aws:lambda:eu-central-1:123456789012:function"
PATTERN = INVOKE.name_pattern
MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."


def named(name: str, qualifier: str | None = None) -> Target | bytes:
    return resolve(name, qualifier, FUNCTIONS, INVOKE, "id")


@pytest.mark.parametrize(
    "name",
    [
        "my-function",
        f"{ARN}:my-function",
        "arn:aws:lambda:eu-central-1:999999999999:function:my-function",
        "123456789012:function:my-function",
        "function:my-function",
        "arn:aws-cn:lambda:eu-central-1:123456789012:function:my-function",
    ],
)
def test_the_ways_to_name_a_function(name: str) -> None:
    assert named(name) == Target(FUNCTION, False)
    assert named(f"{name}:$LATEST") == Target(FUNCTION, True)
    assert named(name, "$LATEST") == Target(FUNCTION, True)
    assert named(f"{name}:$LATEST", "$LATEST") == Target(FUNCTION, True)


def test_a_target_has_the_arn_that_it_was_asked_for() -> None:
    assert Target(FUNCTION, False).arn == f"{ARN}:my-function"
    assert Target(FUNCTION, True).arn == f"{ARN}:my-function:$LATEST"


def wrong_name(value: str) -> str:
    return f"Value '{value}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: {PATTERN}"


def wrong_qualifier(value: str, constraint: str) -> str:
    return f"Value '{value}' at 'qualifier' failed to satisfy constraint: Member must {constraint}"


LONG = wrong_qualifier("a" * 129, "have length less than or equal to 128")
NOWHERE = f"arn:aws:lambda:invalid-region:111111111111:function:my-function-{'a' * 170}"


@pytest.mark.parametrize(
    ("name", "qualifier", "failures"),
    [
        ("my-function!", None, [wrong_name("my-function!")]),
        ("*", None, [wrong_name("*")]),
        ("my-function", "invalid!", [wrong_qualifier("invalid!", rf"satisfy regular expression pattern: {INVOKE.qualifier_pattern}")]),
        ("my-function", "a" * 129, [LONG]),
        ("invalid-account:function:my-function", None, [wrong_name("invalid-account:function:my-function")]),
        (
            "arn:aws:lambda:invalid-region:111111111111:function:f",
            None,
            [wrong_name("arn:aws:lambda:invalid-region:111111111111:function:f")],
        ),
        ("arn:aws:ec2:eu-central-1:111111111111:instance:i-1", None, [wrong_name("arn:aws:ec2:eu-central-1:111111111111:instance:i-1")]),
        (NOWHERE, "a" * 129, [LONG, wrong_name(NOWHERE)]),
        (f"{ARN}:my-function:1:2", None, [wrong_name(f"{ARN}:my-function:1:2")]),
        ("function:my-function:$LATEST:extra", None, [wrong_name("function:my-function:$LATEST:extra")]),
        ("arn:aws:lambda::123456789012:function:f", None, [wrong_name("arn:aws:lambda::123456789012:function:f")]),
        ("arn:aws:lambda:eu-central-1::function:f", None, [wrong_name("arn:aws:lambda:eu-central-1::function:f")]),
        (f"{ARN}:my-function:$LATES", None, [wrong_name(f"{ARN}:my-function:$LATES")]),
    ],
)
def test_validation_as_recorded_on_aws(name: str, qualifier: str | None, failures: list[str]) -> None:
    found = named(name, qualifier)
    assert isinstance(found, bytes)
    answer = response(found)
    plural = "s" if len(failures) > 1 else ""
    assert answer.status == 400 and answer.headers["x-amzn-errortype"] == "ValidationException"
    assert answer.json() == {"message": f"{len(failures)} validation error{plural} detected: {'; '.join(failures)}"}


@pytest.mark.parametrize(
    ("name", "qualifier", "missing"),
    [
        ("a" * 65, None, f"{ARN}:{'a' * 65}:$LATEST"),
        (ARN, None, f"{ARN}:function:$LATEST"),
        (f"{ARN}:my-function", "$latest", f"{ARN}:my-function:$latest"),
        ("my-function:1", None, f"{ARN}:my-function:1"),
        ("my-function", "a" * 65, f"{ARN}:my-function:{'a' * 65}"),
    ],
)
def test_not_found_as_recorded_on_aws(name: str, qualifier: str | None, missing: str) -> None:
    found = named(name, qualifier)
    assert isinstance(found, bytes)
    assert response(found).json() == {"Type": "User", "Message": f"Function not found: {missing}"}


def test_get_names_a_version_only_when_the_caller_did() -> None:
    found = resolve("other", None, FUNCTIONS, GET, "id")
    assert isinstance(found, bytes) and response(found).json() == {"Type": "User", "Message": f"Function not found: {ARN}:other"}


def test_a_qualifier_in_both_places_must_be_the_same() -> None:
    found = named(f"{ARN}:my-function:$LATEST", "1")
    assert isinstance(found, bytes) and response(found).json() == {"Type": "User", "message": MISMATCH}


def test_another_region_as_recorded_on_aws() -> None:
    found = named("arn:aws:lambda:us-west-2:123456789012:function:my-function")
    assert isinstance(found, bytes)
    message = "Functions from 'us-west-2' are not reachable in this region ('eu-central-1')"
    assert response(found).json() == {"Type": "User", "Message": message}


def test_update_has_a_shorter_limit() -> None:
    found = resolve("a" * 141, None, FUNCTIONS, UPDATE, "id")
    assert isinstance(found, bytes) and b"Member must have length less than or equal to 140" in found


def test_without_any_function_there_is_still_an_answer() -> None:
    found = resolve("f", None, {}, INVOKE, "id")
    assert isinstance(found, bytes) and response(found).status == 404
