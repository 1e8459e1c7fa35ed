"""Client configurations and connections that survive a freeze.

Three rules hold for everything in here: no required dependency, no background thread (a freeze starves it), and no request sent twice that
may have been carried out. `thawsafe._core` says when a connection is used again; `thawsafe.adapters` has one module for each client.

Names are loaded when they are first used, so that importing the package costs a cold start next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, without importing it
if TYPE_CHECKING:
    from ._core.configurations import NO_KEEPALIVE, NO_RETRIES, Configuration, Keepalive, Retries
    from ._core.limits import UNLIMITED
    from ._core.presets import cloud_run, in_region, lambda_, laptop, low_latency, microvm
    from ._install.installer import Installation, install
    from ._runtime.deadline import time_left
    from ._runtime.detection import detect
    from ._runtime.errors import UnknownClient
    from ._runtime.invocation import ASGI, handler, invocation
    from ._runtime.journal import counters
    from ._runtime.snapshots import restored

__all__ = [
    "ASGI",
    "NO_KEEPALIVE",
    "NO_RETRIES",
    "UNLIMITED",
    "Configuration",
    "Installation",
    "Keepalive",
    "Retries",
    "UnknownClient",
    "__version__",
    "cloud_run",
    "counters",
    "detect",
    "handler",
    "in_region",
    "install",
    "invocation",
    "lambda_",
    "laptop",
    "low_latency",
    "microvm",
    "restored",
    "time_left",
]

__version__ = "0.1.0"

_HOMES = {
    "NO_KEEPALIVE": "_core.configurations",
    "NO_RETRIES": "_core.configurations",
    "Configuration": "_core.configurations",
    "Keepalive": "_core.configurations",
    "Retries": "_core.configurations",
    "UNLIMITED": "_core.limits",
    "cloud_run": "_core.presets",
    "in_region": "_core.presets",
    "lambda_": "_core.presets",
    "laptop": "_core.presets",
    "low_latency": "_core.presets",
    "microvm": "_core.presets",
    "Installation": "_install.installer",
    "install": "_install.installer",
    "time_left": "_runtime.deadline",
    "detect": "_runtime.detection",
    "UnknownClient": "_runtime.errors",
    "ASGI": "_runtime.invocation",
    "handler": "_runtime.invocation",
    "invocation": "_runtime.invocation",
    "counters": "_runtime.journal",
    "restored": "_runtime.snapshots",
}
"""Where a public name lives."""


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562). Raises AttributeError for any other."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
