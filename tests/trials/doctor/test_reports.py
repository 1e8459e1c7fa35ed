"""A verdict for machines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.reports import as_annotations, as_json, as_junit, as_sarif, table
from frostline.trials.doctor.verdict import Verdict, verdict
from tests.trials.doctor.examples import finding, healthy, outcome_of

LOST = Cell(destination="redis.local:6379", happening="lost", gap_s=6.0)
FINE = Cell(destination=None, happening="survive", gap_s=61.0)


def said() -> Verdict:
    outcomes = [outcome_of(FINE), outcome_of(LOST, failed=2, findings=(finding(),))]
    return verdict("orders", healthy("redis.local:6379"), outcomes, [], invocations=20, took_s=3.0)


def test_json_has_every_cell_and_each_finding_once() -> None:
    (told,) = json.loads(as_json([said()]))["functions"]
    assert told["status"] == "does_not_survive"
    assert [one["cell"]["happening"] for one in told["outcomes"]] == ["survive", "lost"]
    assert told["outcomes"][1]["findings"] == [
        {"rule": "stale-connection-reused", "requests": ["request-a", "request-b"], "destination": "redis.local:6379"}
    ]
    assert told["findings"][0]["cures"][0]["client"] == "redis-py"


def test_junit_has_a_test_for_each_cell() -> None:
    suite = ET.fromstring(as_junit([said()]))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["redis.local:6379 lost 6s"]


@given(st.text())
def test_junit_holds_any_error(text: str) -> None:
    outcomes = [replace(outcome_of(LOST, failed=1), error=text)]
    ET.fromstring(as_junit([verdict("orders", healthy("a:1"), outcomes, [], invocations=1, took_s=1.0)]))


def test_sarif_names_the_rule_and_the_place() -> None:
    (run,) = json.loads(as_sarif([said()], version="0.1.0", places=["template.yaml"]))["runs"]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "stale-connection-reused"
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "template.yaml"


def test_annotations_are_one_line_each() -> None:
    (line,) = as_annotations([said()], ["template.yaml"])
    assert line.startswith("::error file=template.yaml,line=1,title=orders%3A stale-connection-reused::A connection")
    assert "\n" not in line


def test_a_failure_without_a_finding_is_annotated_too() -> None:
    bare = verdict("orders", healthy("a:1"), [outcome_of(LOST, failed=1)], [], invocations=1, took_s=1.0)
    (line,) = as_annotations([bare], ["app.py"])
    assert line.endswith("::it failed in 1 of 1 cells")


def test_the_table_says_what_was_tried_and_what_not() -> None:
    head, rows = table(said())
    assert head == ["connection to", "while frozen", "6s", "61s"]
    assert rows == [
        ["redis.local:6379", "the peer closes, FIN is lost", "fails 2/2", ""],
        ["all connections", "the peer stays", "", "ok"],
    ]
