from __future__ import annotations

import pytest

from thawsafe._core.environments import CONTAINER_FILES, PRESETS, configuration_for

LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}


@pytest.mark.parametrize(
    ("variables", "files", "environment"),
    [
        (LAMBDA, (), "lambda"),
        (LAMBDA, CONTAINER_FILES, "lambda"),
        (LAMBDA | {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}, (), "snapstart"),
        ({"K_SERVICE": "s", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, (), "cloud_run"),
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}, (), "container"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, (), "container"),
        ({}, ("/.dockerenv",), "container"),
        ({}, ("/run/.containerenv",), "container"),
        ({}, (), "laptop"),
        ({"THAWSAFE_ENVIRONMENT": "microvm"}, CONTAINER_FILES, "microvm"),
        (LAMBDA | {"THAWSAFE_ENVIRONMENT": "low_latency"}, (), "low_latency"),
        (LAMBDA | {"THAWSAFE_ENVIRONMENT": ""}, (), "lambda"),
    ],
)
def test_told_by_variables_and_files(variables: dict[str, str], files: tuple[str, ...], environment: str) -> None:
    assert configuration_for(variables, files.__contains__).environment == environment


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(
        ValueError, match=r"THAWSAFE_ENVIRONMENT is 'lamda'\. There are: lambda, microvm, cloud_run, in_region, low_latency, laptop\."
    ):
        configuration_for({"THAWSAFE_ENVIRONMENT": "lamda"}, bool)


@pytest.mark.parametrize("name", PRESETS)
def test_every_name_has_a_configuration_of_that_name(name: str) -> None:
    assert configuration_for({"THAWSAFE_ENVIRONMENT": name}, bool).environment == name
