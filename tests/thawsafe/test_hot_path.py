"""What thawsafe adds to a request on a connection in use, as calls: time is different on every machine, and each time."""

from __future__ import annotations

from pathlib import Path

import pytest

import thawsafe
from bench.thaw.counting import calls
from tests.thawsafe.subject import Subject
from tests.thawsafe.test_contract import SUBJECTS
from thawsafe import invocation, lambda_

LIBRARY = str(Path(thawsafe.__file__).parent)
MOST_PYTHON, MOST_BUILTIN = 10, 16
"""Calls of Python's functions and of builtins. Some 30 to 60 ns each, they stay below 2 µs together."""


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_a_hot_request_costs_a_handful_of_calls(subject: Subject) -> None:
    with subject.serve() as server, invocation(900.0):
        client = subject.connect("127.0.0.1", server.port, lambda_())
        for number in range(5):
            client.call(f"warm-{number}", idempotent=True)
        # The least of several: on a busy machine now and then a request comes so late that its connection is looked at.
        counted = min(calls(LIBRARY, lambda tag=f"hot-{number}": client.call(tag, idempotent=True)) for number in range(10))
        client.close()

    assert 0 < counted.python <= MOST_PYTHON
    assert counted.builtin <= MOST_BUILTIN
