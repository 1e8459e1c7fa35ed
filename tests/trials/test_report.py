"""The table and the object that a demonstration comes to."""

from __future__ import annotations

import json

from frostline.core.effects import FunctionFailed, Succeeded
from frostline.core.payload import Payload
from frostline.diagnose.finding import Finding
from frostline.trials.demonstration import Skipped
from frostline.trials.incident import Cell, Outcome
from frostline.trials.ready import Bundled
from frostline.trials.report import Row, as_object, distinct, rows
from frostline.trials.trial import Invoked, Level, Result, in_turn

FUNCTION = Bundled(folder="f", language="python", handler="app.handler")


def cell(client: str, variant: str, level: Level, *, watched_s: float | None = None) -> Cell:
    return Cell(client=client, variant=variant, level=level, function=FUNCTION, variables={}, script=in_turn([{}], []), watched_s=watched_s)


def invoked(request_id: str, error: str | None = None, answer: object = "ok") -> Invoked:
    if error is None:
        return Invoked(request_id=request_id, begin=0, end=1, outcome=Succeeded(payload=Payload(json.dumps(answer).encode())))
    body = json.dumps({"errorType": "E", "errorMessage": error}).encode()
    return Invoked(request_id=request_id, begin=0, end=1, outcome=FunctionFailed(payload=Payload(body)))


def finding(*requests: str) -> Finding:
    return Finding(
        rule="stale-connection-reused",
        severity="failure",
        claim="a claim",
        function="f",
        environment="e",
        at=1.0,
        requests=requests,
        proof=(),
        cures=(),
    )


def failed(name: str) -> Result:
    return Result(
        trial=name,
        finished=True,
        invocations=[invoked(f"{name}1"), invoked(f"{name}2", "reset")],
        findings=[finding(f"{name}1", f"{name}2")],
    )


def well(name: str) -> Result:
    return Result(trial=name, finished=True, invocations=[invoked(f"{name}1"), invoked(f"{name}2")])


OUTCOMES = [
    Outcome(cell=cell("net/http", "incident", "network"), results=[failed("a"), failed("b"), well("c")]),
    Outcome(cell=cell("net/http", "IdleConnTimeout", "network"), results=[well("d"), Result(trial="x", problem="there was no room")]),
    Outcome(cell=cell("net/http", "incident", "off"), results=[well("e"), Result(trial="y")]),
]


def test_a_cell_says_what_failed_and_names_both_requests() -> None:
    answer = as_object("pool", OUTCOMES, [])
    first, second, third = answer["cells"]
    assert first == {
        "client": "net/http",
        "variant": "incident",
        "level": "network",
        "trials": 3,
        "failed": 2,
        "findings": [
            {"rule": "stale-connection-reused", "requests": ["a1", "a2"]},
            {"rule": "stale-connection-reused", "requests": ["b1", "b2"]},
        ],
        "errors": ["E: reset"],
    }
    assert (second["trials"], second["failed"], second["problems"]) == (1, 0, ["there was no room"])
    assert (third["trials"], third["findings"], "problems" in third) == (1, [], False)
    assert answer["incident"] == "pool"
    assert "black_hole" not in answer


def test_what_was_left_out_and_what_else_there_is_to_say() -> None:
    skipped = [Skipped(client="net/http", why="go is not on PATH"), Skipped(level="network", why="no namespaces")]
    answer = as_object("pool", [], skipped, interrupted=True, picture=None)
    assert answer == {
        "incident": "pool",
        "cells": [],
        "skipped": [{"client": "net/http", "why": "go is not on PATH"}, {"level": "network", "why": "no namespaces"}],
        "interrupted": True,
        "picture": None,
    }
    json.dumps(answer)


def test_a_black_hole_is_told_apart_from_the_cells() -> None:
    def watched(name: str, seconds: float | None) -> Result:
        return Result(trial=name, finished=True, invocations=[invoked("1"), invoked("2", answer={"noticed_s": seconds})])

    on = Outcome(cell=cell("grpc-js", "keepalive on", "network", watched_s=15.0), results=[watched("a", 1.25), watched("b", 1.75)])
    off = Outcome(cell=cell("grpc-js", "keepalive off", "network", watched_s=15.0), results=[watched("c", None), watched("d", 3.0)])
    answer = as_object("keepalive", [on, off], [])
    assert answer["cells"] == []
    assert [(one["variant"], one["noticed_s"], one["noticed_median_s"], one["watched_s"]) for one in answer["black_hole"]] == [
        ("keepalive on", [1.25, 1.75], 1.5, 15.0),
        ("keepalive off", [None, 3.0], None, 15.0),
    ]
    assert rows([on, off]) == []


def test_the_table_has_a_row_for_each_client_and_variant_and_a_column_for_each_level() -> None:
    more = Outcome(cell=cell("httpx", "incident", "network"), results=[failed("f")])
    assert rows([OUTCOMES[0], more, *OUTCOMES[1:]]) == [
        Row("net/http", "incident", {"off": (0, 1), "network": (2, 3)}),
        Row("net/http", "IdleConnTimeout", {"network": (0, 1)}),
        Row("httpx", "incident", {"network": (1, 1)}),
    ]


def test_the_same_text_is_said_once_and_not_too_many() -> None:
    assert distinct(["a", "b", "a", "c", "d"]) == ["a", "b", "c"]
    assert distinct([]) == []
