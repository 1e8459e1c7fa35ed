from __future__ import annotations

import json
import logging
import threading

import pytest

from thawsafe._core.judging import Verdict
from thawsafe._runtime.journal import MOST_NOTES, Journal

DISCARD = Verdict("discard", "frozen", 31.4159, "invocation")
PROBE = Verdict("probe", "frozen", 12.0, "invocation")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="thawsafe")
    return caplog


def test_one_line_for_an_invocation_says_what_and_why_and_how_long(lines: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    journal.invocation_began("request-1")
    journal.verdict("httpx", "a:443", DISCARD)
    journal.verdict("httpx", "b:443", PROBE, 0.0025)
    assert lines.messages == []
    journal.invocation_ended()

    [message] = lines.messages
    assert json.loads(message) == {
        "thawsafe": {
            "event": "thaw",
            "request_id": "request-1",
            "discarded": 1,
            "probed": 1,
            "idle_s": 31.416,
            "probe_ms": 2.5,
            "connections": [
                {
                    "client": "httpx",
                    "peer": "a:443",
                    "action": "discard",
                    "reason": "frozen",
                    "idle_s": 31.416,
                    "freeze": "invocation",
                    "probe_ms": 0.0,
                },
                {
                    "client": "httpx",
                    "peer": "b:443",
                    "action": "probe",
                    "reason": "frozen",
                    "idle_s": 12.0,
                    "freeze": "invocation",
                    "probe_ms": 2.5,
                },
            ],
        }
    }
    assert lines.records[0].__dict__["thaw"] == json.loads(message)["thawsafe"], "for formatters of their own"


def test_no_line_when_everything_was_kept(lines: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    journal.invocation_began(None)
    journal.verdict("httpx", "a:443", Verdict("keep", "fresh", 2.0, "none"))
    journal.invocation_ended()

    assert lines.messages == []
    assert journal.counters()["kept"] == 1


def test_the_next_invocation_has_a_line_of_its_own(lines: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    for request_id in ("1", "2"):
        journal.invocation_began(request_id)
        journal.verdict("httpx", "a:443", DISCARD)
        journal.invocation_ended()

    assert [json.loads(message)["thawsafe"]["request_id"] for message in lines.messages] == ["1", "2"]
    assert all(json.loads(message)["thawsafe"]["discarded"] == 1 for message in lines.messages)


def test_without_an_invocation_a_thawed_connection_has_its_line_at_once(lines: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    journal.verdict("httpx", "a:443", DISCARD._replace(freeze="leap"))
    journal.verdict("httpx", "a:443", Verdict("discard", "idle", 60.0, "none"))

    [message] = lines.messages
    assert json.loads(message)["thawsafe"]["connections"][0]["freeze"] == "leap"
    assert journal.counters()["discarded"] == 2, "what needed no freeze is counted, and not told"


def test_a_line_is_bounded(lines: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    journal.invocation_began(None)
    for _ in range(MOST_NOTES + 7):
        journal.verdict("httpx", "a:443", DISCARD)
    journal.invocation_ended()

    line = json.loads(lines.messages[0])["thawsafe"]
    assert len(line["connections"]) == MOST_NOTES
    assert line["discarded"] == MOST_NOTES + 7


def test_counters_begin_at_zero_and_are_a_copy() -> None:
    journal = Journal()
    counters = journal.counters()
    counters["opened"] = 99

    assert journal.counters() == {"opened": 0, "kept": 0, "probed": 0, "discarded": 0, "died": 0}


def test_threads_lose_no_count() -> None:
    journal = Journal()

    def count() -> None:
        for _ in range(1000):
            journal.verdict("httpx", "a:443", Verdict("discard", "idle", 1.0, "none"))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert journal.counters()["discarded"] == journal.counters()["discarded_idle"] == 8000
