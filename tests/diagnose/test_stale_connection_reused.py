"""`stale-connection-reused`: both requests are named, the server's limit is, and a client that closes an old connection in good order is left alone."""

from __future__ import annotations

import pytest

from frostline.core.middlebox import PEER
from frostline.diagnose.diagnosis import findings

from .told import BEGAN, A, B, C, Told

RESET = "ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))"


def post_twice(story: Told, connection: int = 1, *, begin: float = 1.0, ids: tuple[str, str] = (A, B), error: str | None = RESET) -> None:
    """A connection of the first is ended by its server 3 s after its last byte, and used by the second 5 s later."""
    first, second = ids
    story.invocation(first, begin, begin + 0.1)
    story.opens(connection, begin + 0.01)
    story.sends(connection, begin + 0.02)
    story.invocation(second, begin + 5, begin + 5.1, error=error)
    story.peer_ends(connection, begin + 3.025, thaw=begin + 4.999)
    story.first_write(connection, begin + 5.01, "rst")


def test_the_request_that_left_it_open_and_the_one_that_paid_are_named() -> None:
    story = Told()
    post_twice(story)
    [found] = findings(story.timeline())
    assert (found.rule, found.severity, found.requests) == ("stale-connection-reused", "failure", (A, B))
    assert (found.connection, found.destination, found.times) == (1, "api.local:8080", 1)
    assert (
        "sent FIN, which never reached the function (fate: lost), after 3.0 s without a byte, while the environment was frozen"
        in found.claim
    )
    assert "request bbbbbbbb wrote on it after 5.0 s and got RST" in found.claim
    assert [proof.at for proof in found.proof] == sorted(proof.at for proof in found.proof)
    assert {cure.client for cure in found.cures} == {"requests"}


def test_several_closes_agree_on_the_servers_limit_and_the_cure_is_below_it() -> None:
    story = Told("nodejs20.x")
    for number in range(3):
        ids = (f"{number}a000000-0000-4000-8000-000000000000", f"{number}b000000-0000-4000-8000-000000000000")
        post_twice(story, number, begin=1.0 + 10 * number, ids=ids, error="Error: socket hang up")
    [found] = findings(story.timeline())
    assert found.times == 3
    assert "The server closes connections that are idle for 3.0 s: 3 closes say so." in found.claim
    assert found.cures[0].client == "node:http" and "timeout: 2000" in found.cures[0].setting


def test_gos_cure_names_the_transports_field() -> None:
    story = Told("provided.al2023")
    post_twice(
        story, error='*url.Error: Post "http://api.local:8080/": read tcp 10.0.0.2:40001->198.19.64.1:8080: read: connection reset by peer'
    )
    [found] = findings(story.timeline())
    assert [cure.setting for cure in found.cures][:2] == [
        "Transport.IdleConnTimeout = 2 * time.Second",
        "Transport.DisableKeepAlives = true",
    ]


def test_an_error_that_the_handler_caught_and_answered_is_a_failure_too() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.invocation(
        B, 6.0, 6.1, answer="\"ConnectionError(ProtocolError('Connection aborted.', RemoteDisconnected('Remote end closed ...')))\""
    )
    story.peer_ends(1, 4.0, thaw=5.999)
    story.first_write(1, 6.01, "rst")
    [found] = findings(story.timeline())
    assert found.severity == "failure" and "The invocation answered" in found.claim


def test_a_client_that_sends_it_again_and_says_so_in_the_log_pays_with_a_retry() -> None:
    story = Told()
    post_twice(story, error=None)
    story.logs(6.02, "WARNING: Retrying after connection broken by 'RemoteDisconnected('Remote end closed connection without response')'")
    story.opens(2, 6.03)
    story.sends(2, 6.04)
    [found] = findings(story.timeline())
    assert found.severity == "cost"
    assert "The client tried again on connection 2, 20 ms later, and the invocation went well." in found.claim


def resets_what_was_sent(story: Told, sent: int, *, farewell: bool, error: str | None = None) -> None:
    """The router saw what it was that got the reset."""
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, port=6379)
    story.sends(1, 1.02)
    story.invocation(B, 6.0, 6.1, error=error)
    story.peer_ends(1, 4.025, thaw=5.999)
    story.first_write(1, 6.01, "rst", after_s=None, sent=sent, farewell=farewell)


def test_a_client_that_sends_it_again_without_a_word_pays_with_a_retry() -> None:
    story = Told()
    resets_what_was_sent(story, 29, farewell=False)
    story.opens(2, 6.014, port=6379)
    story.sends(2, 6.015)
    [found] = findings(story.timeline())
    assert (found.rule, found.severity, found.requests) == ("stale-connection-reused", "cost", (A, B))
    assert "wrote on it after 5.0 s and got RST" in found.claim
    assert "The client tried again on connection 2, 4 ms later, and the invocation went well." in found.claim
    assert [proof.text for proof in found.proof if proof.connection == 2] == ["Connection 2 to api.local:6379 is opened instead."]


def test_a_request_that_nobody_took_and_nobody_missed_is_a_risk() -> None:
    story = Told()
    resets_what_was_sent(story, 200, farewell=False)
    [found] = findings(story.timeline())
    assert found.severity == "risk" and "The invocation went well all the same." in found.claim


@pytest.mark.parametrize(("sent", "error"), [(0, None), (0, "Error: connect ECONNRESET 10.0.0.1:443"), (31, None)])
def test_a_farewell_that_nobody_took_is_healthy(sent: int, error: str | None) -> None:
    """Its own end of the connection; what it failed of then was something else."""
    story = Told("nodejs20.x")
    resets_what_was_sent(story, sent, farewell=True, error=error)
    story.opens(2, 6.014, port=6379)
    story.sends(2, 6.015)
    assert findings(story.timeline()) == []


def test_a_client_that_closes_the_old_connection_in_good_order_is_healthy() -> None:
    """Its FIN gets the same RST as a request would."""
    story = Told()
    post_twice(story, error=None)
    story.opens(2, 6.02)
    story.sends(2, 6.03)
    assert findings(story.timeline()) == []


@pytest.mark.parametrize("error", ["ValueError: negative amount", "KeyError: 'id'"])
def test_an_invocation_that_failed_of_something_else_proves_nothing(error: str) -> None:
    story = Told()
    post_twice(story, error=error)
    assert findings(story.timeline()) == []


def test_an_unknown_clients_words_count_when_it_did_not_connect_anew() -> None:
    story = Told("nodejs20.x")
    post_twice(story, error="FancyClientError: transport was closed")
    [found] = findings(story.timeline())
    assert found.rule == "stale-connection-reused"
    other = Told("nodejs20.x")
    post_twice(other, error="FancyClientError: transport was closed")
    other.opens(2, 6.02)
    assert findings(other.timeline()) == []


@pytest.mark.parametrize("took", [0.005, 0.0])
def test_a_write_on_a_connection_whose_end_the_kernel_had_received(took: float) -> None:
    """`fin_delivered`, and every level below `network`: nobody looked. A single segment is a burst that takes no time."""
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="fin_delivered")
    story.sends(1, 1.02)
    story.closes(1, 4.025, by="peer", frozen=True)
    story.invocation(B, 6.0, 6.1, error="BrokenPipeError: [Errno 32] Broken pipe")
    story.sends(1, 6.01, sent=180, received=0, took=took)
    [found] = findings(story.timeline())
    assert found.requests == (A, B) and "which its kernel received (fate: fin_delivered)" in found.claim


def given_one_that_had_ended(story: Told, error: str = "Error: socket hang up") -> None:
    """The client reads the end of the connection that it has just handed out, and sends nothing."""
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="survive")
    story.sends(1, 1.02)
    story.closes(1, 4.025, by="peer", frozen=True, reached="after_thaw")
    story.invocation(B, 6.0, 6.1, error=error)


@pytest.mark.parametrize("error", ["Error: socket hang up", 'Error: Post "http://api.local:8080/": EOF'])
def test_a_request_that_failed_before_it_wrote(error: str) -> None:
    story = Told("nodejs20.x")
    given_one_that_had_ended(story, error)
    [found] = findings(story.timeline())
    assert (found.rule, found.severity, found.requests) == ("stale-connection-reused", "failure", (A, B))
    assert "which reached it after the thaw (fate: survive)" in found.claim
    assert "request bbbbbbbb was given it after 5.0 s and failed before it wrote" in found.claim
    assert any("sent nothing" in proof.text for proof in found.proof)


def test_which_connection_it_was_given_is_not_guessed() -> None:
    story = Told("nodejs20.x")
    given_one_that_had_ended(story)
    story.opens(2, 1.03, host="other.local", fate="survive")
    story.closes(2, 4.5, by="peer", frozen=True, reached="after_thaw")
    assert findings(story.timeline()) == []
    anew = Told("nodejs20.x")
    given_one_that_had_ended(anew)
    anew.opens(2, 6.02)
    assert findings(anew.timeline()) == []
    unrelated = Told("nodejs20.x")
    given_one_that_had_ended(unrelated, "TypeError: x is undefined")
    assert findings(unrelated.timeline()) == []


def test_a_server_that_looks_at_its_connections_once_a_second_has_the_least_limit_that_was_seen() -> None:
    """Redis with `timeout 3`. A client's limit has to be below all of them."""
    story = Told("nodejs20.x")
    for number, idle in enumerate((3.1, 3.7, 3.9)):
        first, second = f"{number}a000000-0000-4000-8000-000000000000", f"{number}b000000-0000-4000-8000-000000000000"
        begin = 1.0 + 10 * number
        story.invocation(first, begin, begin + 0.1)
        story.opens(number, begin + 0.01)
        story.sends(number, begin + 0.02)
        story.invocation(second, begin + 5, begin + 5.1, error="MaxRetriesPerRequestError: Reached the max retries per request limit")
        story.peer_ends(number, begin + 0.025 + idle, thaw=begin + 4.999)
        story.first_write(number, begin + 5.01, "rst")
        story.opens(number + 10, begin + 5.02)
    [found] = findings(story.timeline())
    assert found.severity == "failure"
    assert "The server closes connections that are idle for 3.1 s: 3 closes say so." in found.claim


def test_where_the_network_goes_on_there_is_no_fate_to_name() -> None:
    """`--freeze processes`."""
    story = Told("provided.al2023")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.closes(1, 4.025, by="peer")
    story.invocation(B, 6.0, 6.1, error='Error: Post "http://api.local:8080/": EOF')
    story.sends(1, 6.01, sent=153, received=0, took=0.0)
    [found] = findings(story.timeline())
    assert "sent FIN, which its kernel received, after 3.0 s" in found.claim and "wrote on it" in found.claim


def test_an_error_whose_first_line_says_nothing_is_quoted_with_the_second() -> None:
    story = Told()
    post_twice(
        story, error="_InactiveRpcError: <_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails"
    )
    [found] = findings(story.timeline())
    assert "“_InactiveRpcError: <_InactiveRpcError of RPC that terminated with: status = StatusCode.UNAVAILABLE”" in found.claim


def test_a_farewell_on_a_connection_that_is_over_is_no_request() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="fin_delivered")
    story.sends(1, 1.02)
    story.closes(1, 4.025, by="peer", frozen=True)
    story.invocation(B, 6.0, 6.1)
    story.sends(1, 6.01, sent=31, received=0)
    assert findings(story.timeline()) == []


def test_a_middlebox_that_forgot_it_is_named_with_its_limit() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, middlebox="nat-gateway", fate="survive")
    story.sends(1, 1.02)
    story.expires(1, 351.02, idle_s=350.0, then="rst", middlebox="nat-gateway")
    story.invocation(B, 401.0, 401.1, error="Error: read ECONNRESET")
    story.first_write(1, 401.01, "rst", after_s=None)
    [found] = findings(story.timeline())
    assert "The middlebox nat-gateway forgot it, after 5 min 50 s without a byte, while the environment was frozen" in found.claim


@pytest.mark.parametrize("middlebox", ["alb", PEER])
def test_one_that_time_that_was_made_to_pass_has_ended_and_whose_end_was_delivered(middlebox: str) -> None:
    """http.client: it never looks, writes, and says broken pipe; nothing of that reaches the router."""
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, middlebox=middlebox, fate="fin_delivered")
    story.sends(1, 1.02)
    story.expires(1, 61.025, idle_s=60.0, then="fin", middlebox=middlebox)
    story.closes(1, 61.025, by="middlebox", frozen=True)
    story.invocation(B, 401.0, 401.1, error="BrokenPipeError: [Errno 32] Broken pipe")
    [found] = findings(story.timeline())
    assert (found.rule, found.severity, found.requests) == ("stale-connection-reused", "failure", (A, B))
    said = "The peer closed it" if middlebox == PEER else "The middlebox alb forgot it"
    assert f"{said}, after 60.0 s without a byte, while the environment was frozen" in found.claim
    assert "was given it after 6 min 40 s and failed before it wrote" in found.claim


def test_what_a_server_says_before_it_ends_an_idle_connection_belongs_to_its_end() -> None:
    """PostgreSQL's error, or a GOAWAY, where the end is delivered at once."""
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="fin_delivered", port=5432)
    story.sends(1, 1.02)
    story.sends(1, 4.02, sent=0, received=116, took=0.0)
    story.closes(1, 4.021, by="peer", frozen=True, last_sent_at=BEGAN + 1.021, last_received_at=BEGAN + 4.02)
    story.invocation(B, 6.0, 6.1, error="OperationalError: server closed the connection unexpectedly")
    story.sends(1, 6.01, sent=80, received=0, took=0.0)
    [found] = findings(story.timeline())
    assert "sent FIN, which its kernel received (fate: fin_delivered), after 3.0 s without a byte" in found.claim
    assert "wrote on it after 5.0 s" in found.claim


def test_a_path_that_forgot_it_unseen() -> None:
    """A real one: nothing is heard of it until the first write is answered by RST."""
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, fate="survive")
    story.sends(1, 1.02)
    story.invocation(B, 401.0, 401.1, error="Error: read ECONNRESET")
    story.first_write(1, 401.01, "rst", after_s=0.0003)
    story.closes(1, 401.0103, by="peer", how="rst")
    [found] = findings(story.timeline())
    assert found.requests == (A, B) and "had forgotten it" in found.claim


def test_a_server_that_resets_a_request_within_an_invocation_is_not_stale() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.invocation(B, 6.0, 6.5, error="Error: read ECONNRESET")
    story.first_write(1, 6.01, "data")
    story.sends(1, 6.01)
    story.sends(1, 6.2, sent=100, received=0)
    story.closes(1, 6.21, by="peer", how="rst")
    assert findings(story.timeline()) == []


def test_one_that_died_two_freezes_ago() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.invocation(C, 6.0, 6.1)
    story.peer_ends(1, 4.025, thaw=5.999)
    story.invocation(B, 12.0, 12.1, error=RESET)
    story.first_write(1, 12.01, "rst")
    [found] = findings(story.timeline())
    assert found.requests == (A, B) and "while the environment was frozen" in found.claim and "after 11.0 s" in found.claim


def test_one_that_the_init_opened() -> None:
    story = Told()
    story.environment("env-1", 0.0)
    story.opens(1, 0.3)
    story.sends(1, 0.31)
    story.invocation(B, 6.0, 6.1, error=RESET)
    story.peer_ends(1, 3.31, thaw=5.999)
    story.first_write(1, 6.01, "rst")
    [found] = findings(story.timeline())
    assert found.requests == (B,) and found.claim.startswith("The init left connection 1")
