"""Which environment is this? Told by its variables and a few files; nothing is asked over the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .configurations import Configuration
from .presets import cloud_run, in_region, lambda_, laptop, low_latency, microvm

OVERRIDE = "THAWSAFE_ENVIRONMENT"
"""The variable that says it, whatever else is seen."""

PRESETS: dict[str, Callable[[], Configuration]] = {
    "lambda": lambda_,
    "microvm": microvm,
    "cloud_run": cloud_run,
    "in_region": in_region,
    "low_latency": low_latency,
    "laptop": laptop,
}
"""The names that OVERRIDE takes."""

CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
"""Docker makes the one, Podman the other, in every container's root."""


def configuration_for(variables: Mapping[str, str], exists: Callable[[str], bool]) -> Configuration:
    """The configuration for an environment with these variables.

    The first that fits: THAWSAFE_ENVIRONMENT; Lambda and SnapStart, by Lambda's reserved variables; Cloud Run and its functions, by
    Knative's K_SERVICE; a container, by ECS's and Kubernetes' variables or the file that Docker or Podman leaves; else a laptop.

    Raises ValueError when THAWSAFE_ENVIRONMENT names no configuration.
    """
    name = variables.get(OVERRIDE, "")
    if name:
        if name not in PRESETS:
            raise ValueError(f"{OVERRIDE} is {name!r}. There are: {', '.join(PRESETS)}.")
        return PRESETS[name]()
    if is_lambda(variables):
        return lambda_().replace(environment="snapstart") if is_snapstart(variables) else lambda_()
    if "K_SERVICE" in variables:
        return cloud_run()
    if is_container(variables, exists):
        return in_region().replace(environment="container")
    return laptop()


def is_lambda(variables: Mapping[str, str]) -> bool:
    """A Lambda execution environment: reserved variables that the service sets (docs: configuration-envvars)."""
    return "AWS_LAMBDA_RUNTIME_API" in variables or "AWS_LAMBDA_FUNCTION_NAME" in variables


def is_snapstart(variables: Mapping[str, str]) -> bool:
    """A function version with SnapStart."""
    return variables.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


def is_container(variables: Mapping[str, str], exists: Callable[[str], bool]) -> bool:
    """A container of ECS, Kubernetes, Docker or Podman."""
    told = ("ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI", "KUBERNETES_SERVICE_HOST")
    return any(name in variables for name in told) or any(exists(path) for path in CONTAINER_FILES)
