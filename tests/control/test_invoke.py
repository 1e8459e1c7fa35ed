"""Invocations from a caller's bytes to a runtime's and back, over loopback."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from frostline.core.events import InvocationAbandoned
from frostline.testing.builders import function
from frostline.testing.fake_runtime import Event, Exit, Process, runtime
from tests.control.rig import POLICY, Rig, eventually, invocations

ECHO = runtime(lambda process, event: event.payload)


async def test_a_caller_is_answered_with_what_its_function_says(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    response = await rig.invoke({"greeting": "hello"})
    assert response.status == 200
    assert response.json() == {"greeting": "hello"}
    assert response.headers["x-amz-executed-version"] == "$LATEST"
    assert "x-amz-function-error" not in response.headers
