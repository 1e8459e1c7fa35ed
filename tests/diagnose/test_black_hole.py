"""`black-hole`: how long the function waited is said; a client that closed the old connection waited for nothing."""

from __future__ import annotations

import pytest

from frostline.diagnose.diagnosis import findings, occurrences

from .told import A, B, C, D, Told


def begin(story: Told, *, last: float = 1.02) -> None:
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="blackhole")
    story.sends(1, last)


def test_a_request_that_waited_for_its_time_limit() -> None:
    story = Told("nodejs20.x")
    begin(story)
    story.invocation(B, 6.0, 9.0, error="AxiosError: timeout of 3000ms exceeded")
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None)
    [found] = findings(story.timeline())
    assert (found.rule, found.severity, found.requests) == ("black-hole", "failure", (A, B))
    assert "(fate: blackhole)" in found.claim and "waited 3.0 s for an answer that cannot come" in found.claim
    assert found.cures[0].client == "axios"


def test_lambdas_own_limit_ends_a_client_without_one() -> None:
    story = Told()
    begin(story)
    story.invocation(B, 6.0, 9.0, error="Sandbox.Timedout: RequestId: b Error: Task timed out after 3.00 seconds")
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None)
    [found] = findings(story.timeline())
    assert found.severity == "failure" and {cure.client for cure in found.cures} >= {"requests", "httpx"}


def test_a_client_that_waited_and_then_connected_anew_is_a_risk() -> None:
    """redis-py: five seconds, and the command is sent again."""
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="redis.local", port=6379, fate="blackhole")
    story.sends(1, 1.02, 30, 5)
    story.invocation(B, 6.0, 11.1)
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None)
    story.opens(2, 11.04, host="redis.local", port=6379)
    story.sends(2, 11.05, 30, 5)
    [found] = findings(story.timeline())
    assert found.severity == "risk" and "waited 5.0 s" in found.claim and "on a new connection" in found.claim
    assert found.cures[0].client == "redis-py"


def test_how_long_it_waited_is_known_where_the_router_saw_the_write() -> None:
    """Where it only looks now and then, up to half a second more is said."""
    for more, waited in (({}, "2.5 s"), ({"sent": 180}, "2.0 s")):
        story = Told("nodejs20.x")
        begin(story)
        story.invocation(B, 6.0, 9.0, error="AxiosError: timeout of 2000ms exceeded")
        story.falls_silent(1, 5.9992)
        story.first_write(1, 7.0, "nothing", after_s=None, **more)
        assert f"waited {waited} for an answer" in findings(story.timeline())[0].claim


def test_a_client_that_keeps_it_fails_again() -> None:
    """gRPC: a deadline does not end the connection."""
    story = Told()
    begin(story)
    failed = "AioRpcError: StatusCode.DEADLINE_EXCEEDED"
    story.invocation(B, 6.0, 9.0, error=failed)
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None, sent=41)
    story.invocation(C, 12.0, 16.0, error=failed)
    story.invocation(D, 20.0, 24.0, error="ValueError: negative amount")
    first, second = occurrences(story.timeline())
    assert (first.requests, second.requests) == ((A, B), (A, C))
    assert "Request cccccccc had no other to it and waited 4.0 s for an answer that cannot come." in second.claim
    assert any("Nothing has come on connection 1 since request bbbbbbbb wrote on it" in proof.text for proof in second.proof)
    assert [found.times for found in findings(story.timeline())] == [2]


def test_a_client_that_connected_anew_failed_of_something_else() -> None:
    story = Told()
    begin(story)
    story.invocation(B, 6.0, 9.0, error="ReadTimeout: timed out")
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None, sent=180)
    story.invocation(C, 12.0, 16.0, error="ReadTimeout: timed out")
    story.opens(2, 12.01)
    story.sends(2, 12.02, received=0)
    assert [found.requests for found in occurrences(story.timeline())] == [(A, B)]


def test_a_client_that_closed_it_waited_for_nothing_whatever_it_failed_of() -> None:
    story = Told("nodejs20.x")
    begin(story)
    story.invocation(B, 6.0, 9.0, error="AxiosError: timeout of 3000ms exceeded")
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None, sent=0, farewell=True)
    assert findings(story.timeline()) == []


def test_a_middlebox_that_falls_silent_is_named() -> None:
    story = Told("nodejs20.x")
    begin(story)
    story.expires(1, 241.02, idle_s=240.0, then="silence", middlebox="azure-lb")
    story.invocation(B, 301.0, 304.0, error="TimeoutError: The operation was aborted due to timeout")
    story.falls_silent(1, 300.9992)
    story.first_write(1, 301.01, "nothing", after_s=None)
    [found] = findings(story.timeline())
    assert "The middlebox azure-lb forgot it after 4 min without a byte, and says nothing." in found.claim


def test_its_cures_have_an_age_below_every_limit_that_was_seen() -> None:
    """The server's idle limit heals a stale connection, and a cure for both needs one figure."""
    story = Told("nodejs20.x")
    begin(story)
    story.expires(1, 241.02, idle_s=240.0, then="silence", middlebox="azure-lb")
    story.invocation(B, 301.0, 304.0, error="AxiosError: timeout of 3000ms exceeded")
    story.falls_silent(1, 300.9992)
    story.first_write(1, 301.01, "nothing", after_s=None)
    assert "timeout: 192000" in findings(story.timeline())[0].cures[0].setting
    story.invocation(C, 1.0, 1.1, environment="env-2")
    story.opens(2, 1.01, environment="env-2")
    story.sends(2, 1.015)
    story.invocation(D, 301.0, 301.1, environment="env-2")
    story.peer_ends(2, 61.03, thaw=300.9992)
    [found] = findings(story.timeline())
    assert "timeout: 48000" in found.cures[0].setting


def test_a_client_that_closed_it_and_connected_at_once_waited_for_nothing() -> None:
    story = Told()
    begin(story)
    story.invocation(B, 6.0, 6.1)
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None)
    story.opens(2, 6.012)
    story.sends(2, 6.02)
    assert findings(story.timeline()) == []


def test_a_function_that_always_connects_late_waited_for_nothing() -> None:
    """Its client closes old connections at the thaw, and its handler computes for two seconds before it needs one."""
    story = Told()
    story.invocation(A, 1.0, 3.1)
    story.opens(1, 3.01, fate="blackhole")
    story.sends(1, 3.02)
    story.invocation(B, 6.0, 8.1)
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.0005, "nothing", after_s=None)
    story.opens(2, 8.0, fate="blackhole")
    story.sends(2, 8.02)
    assert findings(story.timeline()) == []


def test_a_slow_answer_is_an_answer() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.invocation(B, 6.0, 9.1, error="ReadTimeout: too slow")
    story.first_write(1, 6.01, "nothing", after_s=1.0)
    story.sends(1, 6.01, 200, 0)
    story.sends(1, 9.05, 0, 300)
    assert findings(story.timeline()) == []


@pytest.mark.parametrize("sent_again", [0, 3])
def test_a_path_that_died_unseen_is_told_from_a_slow_server_by_what_was_sent_again(sent_again: int) -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="survive")
    story.sends(1, 1.02)
    story.invocation(B, 6.0, 9.1, error="ReadTimeout: The read operation timed out")
    story.first_write(1, 6.01, "nothing", after_s=1.0)
    story.sends(1, 6.01, 200, 0)
    story.closes(1, 9.05, retransmitted=sent_again)
    found = findings(story.timeline())
    assert [one.rule for one in found] == (["black-hole"] if sent_again else [])
    assert all("what was sent was sent again, 3 times" in one.claim for one in found)


def test_an_error_of_another_kind_is_not_blamed_on_it() -> None:
    story = Told()
    begin(story)
    story.invocation(B, 6.0, 6.1, error="KeyError: 'id'")
    story.falls_silent(1, 5.9992)
    story.first_write(1, 6.01, "nothing", after_s=None)
    assert findings(story.timeline()) == []


def test_the_first_who_waited_is_told_and_every_one_is_counted() -> None:
    story = Told()
    for index, (first, second) in enumerate(((A, B), (C, D))):
        at = 1.0 + 10 * index
        story.invocation(first, at, at + 0.1)
        story.opens(index, at + 0.01, fate="blackhole")
        story.sends(index, at + 0.02)
        story.invocation(second, at + 5, at + 8, error="ReadTimeout: The read operation timed out")
        story.falls_silent(index, at + 4.9992)
        story.first_write(index, at + 5.01, "nothing", after_s=None)
    [found] = findings(story.timeline())
    assert found.times == 2 and found.requests == (A, B)
