from __future__ import annotations

import pytest

from thawsafe import lambda_
from thawsafe._runtime.guard import Guard
from thawsafe._runtime.journal import Journal


@pytest.fixture
def guard() -> Guard:
    return Guard("test", lambda_(), journal=Journal())
