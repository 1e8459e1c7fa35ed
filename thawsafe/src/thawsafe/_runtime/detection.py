"""The configuration for the environment that this process runs in."""

from __future__ import annotations

import os

from .._core.configurations import Configuration
from .._core.environments import configuration_for


def detect() -> Configuration:
    """The configuration for this environment: see `thawsafe._core.environments.configuration_for` for how it is told.

    Raises ValueError when THAWSAFE_ENVIRONMENT names no configuration.
    """
    return configuration_for(os.environ, os.path.exists)
