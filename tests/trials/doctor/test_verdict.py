"""From what came of the cells to a verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frostline.core.effects import FunctionFailed, Succeeded
from frostline.core.payload import Payload
from frostline.core.upstream import parse
from frostline.trials.doctor.baseline import Refused
from frostline.trials.doctor.plan import Cell, Untried
from frostline.trials.doctor.verdict import EXIT_STATUS, Outcome, Verdict, outcome, verdict
from frostline.trials.trial import Invoked, Result
from tests.trials.doctor.examples import finding, healthy, outcome_of

REDIS = "redis.local:6379"
CELL = Cell(destination=REDIS, happening="lost", gap_s=351.0)
FINE = Cell(destination=None, happening="survive", gap_s=6.0)


def answered(body: bytes = b"{}", *, took: float = 0.01, failed: bool = False) -> Invoked:
    payload = Payload(body)
    return Invoked(
        request_id="r", begin=100.0, end=100.0 + took, outcome=FunctionFailed(payload=payload) if failed else Succeeded(payload=payload)
    )


def result(*invocations: Invoked, finished: bool = True, **more: Any) -> Result:
    return Result(trial="t", invocations=list(invocations), finished=finished, **more)


def judge(*outcomes: Outcome, **more: Any) -> Verdict:
    return verdict("orders", more.pop("found", healthy(REDIS)), outcomes, [], invocations=10, took_s=1.0, **more)


def test_only_what_came_after_the_freeze_counts() -> None:
    before, after = answered(failed=True), answered()
    assert outcome(CELL, [result(before, after)], healthy(), judged=1).failed == 0
    assert outcome(CELL, [result(after, before)], healthy(), judged=1).failed == 1


def test_an_answer_that_took_a_retry_is_slow_and_not_failed() -> None:
    made = outcome(CELL, [result(answered(), answered(took=5.0))], healthy(), judged=1)
    assert (made.failed, made.slow, made.longest_s) == (0, 1, 5.0)


def test_a_time_limit_is_told_from_other_failures() -> None:
    def judged(*errors: str) -> bool:
        results = [result(answered(json.dumps({"statusCode": 500, "body": error}).encode())) for error in errors]
        return outcome(CELL, results, healthy(), judged=1).ran_out_of_time

    assert judged("Task timed out after 3.00 seconds", "4 DEADLINE_EXCEEDED: Deadline exceeded", "ReadTimeout: The read operation")
    assert not judged("Task timed out after 3.00 seconds", "14 UNAVAILABLE: read ECONNRESET")
    assert not judged()


def test_a_trial_that_did_not_end_says_nothing() -> None:
    assert not outcome(CELL, [result(answered(), finished=False)], healthy(), judged=1).known


def test_one_failed_cell_is_enough() -> None:
    said = judge(outcome_of(FINE), outcome_of(CELL, failed=1, findings=(finding(),)))
    assert (said.status, said.reason) == ("does_not_survive", "it failed in 1 of 2 cells")
    assert EXIT_STATUS[said.status] == 1
    assert [one.rule for one in said.findings] == ["stale-connection-reused"]


def test_nothing_is_claimed_of_a_function_that_fails_anyway() -> None:
    ill = healthy(REDIS, failures=2, error="KeyError: 'id'", when="sometimes")
    said = judge(outcome_of(CELL, failed=2, findings=(finding(),)), found=ill)
    assert (said.status, said.findings, said.unexplained) == ("not_judged", (), ())
    assert said.reason == "it fails without being frozen, sometimes: KeyError: 'id'"
    assert EXIT_STATUS[said.status] == 2


def test_an_interrupted_checkup_says_what_it_knows() -> None:
    said = judge(outcome_of(FINE), outcome_of(CELL, trials=0), interrupted=True)
    assert said.status == "not_judged"
    assert said.untried == (Untried(what="1 of 2 cells", why="it was interrupted"),)
    assert judge(outcome_of(FINE, failed=1), outcome_of(CELL, trials=0), interrupted=True).status == "does_not_survive"


def test_clocks_that_stood_still_in_a_gap_are_told() -> None:
    made = outcome(CELL, [result(answered(), answered(), clocks_moved=False, clocks_note="helper: static")], healthy(), judged=1)
    (untried,) = judge(made).untried
    assert (untried.what, untried.why) == ("1 of 1 gaps as they would be", "not every clock was moved (helper: static)")


def test_the_same_finding_in_many_cells_is_one() -> None:
    many = [outcome_of(CELL, failed=1, findings=(finding("no-reuse", severity="cost"), finding())) for _ in range(3)]
    said = judge(*many)
    assert [(one.rule, one.times) for one in said.findings] == [("stale-connection-reused", 3)]
    assert [(one.rule, one.times) for one in said.costs] == [("no-reuse", 3)]


def test_a_cause_comes_before_what_follows_from_it() -> None:
    said = judge(outcome_of(CELL, failed=1, findings=(finding("slow-reconnect"), finding("keepalive-stranded"))))
    assert [one.rule for one in said.findings] == ["keepalive-stranded", "slow-reconnect"]


def test_a_client_that_got_over_it_every_time_is_not_at_risk() -> None:
    def severities(*outcomes: Outcome) -> list[str]:
        said = judge(*outcomes)
        assert all(one.severity == "cost" for one in said.costs)
        return [one.severity for one in (*said.findings, *said.costs)]

    retried = outcome_of(CELL, findings=(finding(severity="risk"),))
    assert severities(retried) == ["cost"]
    assert severities(retried, outcome_of(Cell(destination="other:1", happening="lost", gap_s=351.0), failed=1)) == ["cost"]
    assert severities(retried, outcome_of(Cell(destination=REDIS, happening="blackhole", gap_s=351.0), failed=1)) == ["risk"]
    assert severities(outcome_of(CELL, findings=(finding("work-left-over", severity="risk"),))) == ["risk"]


def test_errors_that_nothing_explains_are_told() -> None:
    jumped = outcome_of(FINE, failed=2, error="RuntimeError: the clock jumped by 21600 s")
    (one,) = judge(jumped, outcome_of(CELL, failed=2, findings=(finding(),))).unexplained
    assert (one.error, one.cells) == ("RuntimeError: the clock jumped by 21600 s", (FINE,))


def test_an_error_that_a_finding_explains_elsewhere_is_not_told_again() -> None:
    said = judge(outcome_of(FINE, failed=1), outcome_of(CELL, failed=2, findings=(finding(),)))
    assert said.unexplained == ()


def test_nothing_that_it_talks_to_could_be_reached() -> None:
    refused = Refused(name="api.example.com:443", reason="it is outside", outside=True)
    said = judge(outcome_of(FINE), found=healthy(refused=(refused,)))
    assert said.status == "not_judged"
    assert said.untried == (Untried(what="connections to api.example.com:443", why="it is outside"),)
    (advice,) = said.advice
    assert advice.startswith("api.example.com:443 is outside of the lab")
    assert "--upstream api.example.com:443=http1,tls" in advice
    assert "--allow-network" in advice


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("db.example.com:5432", "--upstream db.example.com:5432=host:5432"),
        ("api.example.com:8443", "--upstream api.example.com:8443=http1"),
        ("10.0.0.7:443", "have the function dial a name of its own"),
        ("host.docker.internal:5432", "have the function dial a name of its own"),
    ],
)
def test_what_can_be_done_about_a_destination_outside_of_the_lab(name: str, what: str) -> None:
    said = judge(outcome_of(FINE), found=healthy(REDIS, refused=(Refused(name=name, reason="it is outside", outside=True),)))
    assert what in said.advice[0]


def test_part_of_what_it_talks_to_could_not_be_reached() -> None:
    refused = Refused(name="db.local:5432", reason="Connection refused", outside=False)
    said = judge(outcome_of(FINE), found=healthy(REDIS, refused=(refused,)))
    assert said.status == "survives"
    assert [one.what for one in said.untried] == ["connections to db.local:5432"]
    assert said.advice == ("db.local:5432 could not be reached: Connection refused.",)


def test_what_a_function_may_miss_that_never_answers() -> None:
    ill = healthy("api.local:80", failures=12, error="KeyError: 'id'", when="always")
    stand_ins = parse(["api.local:80=http1", "other.local:80=http1"])
    event, answers, unused = judge(found=ill, upstreams=stand_ins, event={}).advice
    assert (
        event.startswith("It was invoked with “{}”.")
        and "--event @event.json" in event
        and "answers=FILE" in answers
        and unused.startswith("The stand-in other.local:80 was not used")
    )
    long = judge(found=ill, event={"text": "x" * 1000}).advice[0]
    assert long.startswith('It was invoked with “{"text": "xxx') and len(long) < 300
    assert judge(found=healthy(REDIS, failures=1, error="KeyError: 'id'", when="sometimes")).advice == ()
    assert judge(found=healthy("api.local:80"), upstreams=parse(["api.local:80=http1"])).advice == ()


def test_a_stand_in_that_is_not_used() -> None:
    said = judge(outcome_of(FINE), upstreams=parse(["redis.local:6380=echo", "api.local:80=http1", f"{REDIS}=echo"]))
    assert said.advice == (
        f"The stand-in redis.local:6380 was not used: the function never connected to it; it connected to {REDIS}.",
        "The stand-in api.local:80 was not used: the function never connected to it.",
    )
