"""A verdict for machines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from frostline.trials.doctor.pages import index
from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.reports import UNEXPLAINED, as_annotations, as_json, as_junit, as_sarif
from frostline.trials.doctor.verdict import Verdict, verdict
from tests.trials.doctor.examples import finding, healthy, outcome_of

LOST = Cell(destination="redis.local:6379", happening="lost", gap_s=6.0)
FINE = Cell(destination=None, happening="survive", gap_s=61.0)


def said() -> Verdict:
    outcomes = [outcome_of(FINE), outcome_of(LOST, failed=2, findings=(finding(),), error="ConnectionError: reset, 100 %\nsecond line")]
    return verdict("orders", healthy("redis.local:6379"), outcomes, [], invocations=20, took_s=3.0)


def bare() -> Verdict:
    """It fails, and nothing explains it."""
    return verdict("orders", healthy("a:1"), [outcome_of(LOST, failed=1)], [], invocations=1, took_s=1.0)


def ill() -> Verdict:
    """It could not be judged."""
    return verdict("orders", healthy(failures=1, error="KeyError", when="always"), [], [], invocations=1, took_s=1.0)


def test_json_has_every_cell_and_each_finding_once() -> None:
    (told,) = json.loads(as_json([said()]))["functions"]
    assert told["status"] == "does_not_survive"
    assert [one["cell"]["happening"] for one in told["outcomes"]] == ["survive", "lost"]
    assert told["outcomes"][1]["findings"] == [
        {"rule": "stale-connection-reused", "requests": ["request-a", "request-b"], "destination": "redis.local:6379"}
    ]
    assert told["findings"][0]["cures"][0]["client"] == "redis-py"


def test_json_has_the_same_trials_with_thawsafe_and_what_was_left_out() -> None:
    told = json.loads(
        as_json([said(), ill()], fixed=[replace(said(), status="survives"), None], refused={"old": "java8 cannot be run here"})
    )
    assert [function.get("with_thawsafe", {}).get("status") for function in told["functions"]] == ["survives", None]
    assert told["refused"] == [{"function": "old", "message": "java8 cannot be run here"}]


def cured() -> Verdict:
    """What the same trials say with thawsafe."""
    return verdict("orders", healthy("redis.local:6379"), [outcome_of(FINE), outcome_of(LOST)], [], invocations=20, took_s=3.0)


def test_the_same_trials_with_thawsafe_are_in_every_report() -> None:
    suites = ET.fromstring(as_junit([said(), ill()], fixed=[cured(), None]))
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [
        ("orders", "1"),
        ("orders with thawsafe", "0"),
        ("orders", "0"),
    ]
    for after, told in ((cured(), "not found"), (said(), "found, too")):
        (result,) = json.loads(as_sarif([said()], version="0.1.0", places=["app.py"], fixed=[after]))["runs"][0]["results"]
        (line,) = as_annotations([said()], ["app.py"], fixed=[after])
        for text in (result["message"]["text"], line):
            assert text.endswith(f"In the same trials with thawsafe switched on it is {told}.")
    html = index([said(), ill()], {}, fixed=[cured(), None])
    assert html.count("The same trials with thawsafe") == 1
    assert '<td class="failed">fails</td><td class="ok">ok</td>' in html


def test_junit_has_a_test_for_each_cell() -> None:
    suite = ET.fromstring(as_junit([said()]))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["redis.local:6379 lost 6s"]


def test_junit_has_an_error_where_nothing_could_be_judged() -> None:
    suite = ET.fromstring(as_junit([ill()]))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1")


@given(st.text())
def test_reports_hold_any_error(text: str) -> None:
    told = [verdict("orders", healthy("a:1"), [outcome_of(LOST, failed=1, error=text)], [], invocations=1, took_s=1.0)]
    ET.fromstring(as_junit(told))
    json.loads(as_sarif(told, version="0.1.0", places=["app.py"]))
    assert all("\n" not in line for line in as_annotations(told, ["app.py"]))


def test_sarif_names_the_rule_and_the_place() -> None:
    (run,) = json.loads(as_sarif([said()], version="0.1.0", places=["my functions/app.py"]))["runs"]
    (result,) = run["results"]
    rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == "stale-connection-reused"
    assert rule["shortDescription"]["text"].startswith("A connection that ended while the environment was frozen")
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "my%20functions/app.py"
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_sarif_tells_what_has_no_finding_and_what_was_not_judged() -> None:
    (run,) = json.loads(as_sarif([bare(), ill()], version="0.1.0", places=["a.py", "b.py"]))["runs"]
    assert [result["ruleId"] for result in run["results"]] == [UNEXPLAINED]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert [note["level"] for note in invocation["toolExecutionNotifications"]] == ["warning"]


def test_annotations_are_one_line_each() -> None:
    (line,) = as_annotations([said()], ["template.yaml"])
    assert line.startswith("::error file=template.yaml,line=1,title=orders%3A stale-connection-reused::A connection")
    assert "\n" not in line


def test_what_has_no_finding_and_what_was_not_judged_are_annotated_too() -> None:
    error, warning = as_annotations([bare(), ill()], ["app.py", "app.py"])
    assert error.startswith(
        "::error file=app.py,line=1,title=orders%3A fails after a freeze::it failed without a finding in redis.local:6379, "
    )
    assert warning.startswith("::warning file=app.py,line=1,title=orders%3A not judged::it fails without being frozen, always: KeyError")


def test_the_page_leads_to_timelines_and_escapes_what_a_function_said() -> None:
    hostile = verdict(
        "orders", healthy("a:1"), [outcome_of(LOST, failed=1, error="<script>alert(1)</script>")], [], invocations=1, took_s=1.0
    )
    html = index([hostile, said(), ill()], {("orders", LOST.name): "orders lost.html"})
    assert '<a href="orders%20lost.html">fails</a>' in html
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html
