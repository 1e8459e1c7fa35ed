"""From what came of the cells to a verdict."""

from __future__ import annotations

from msgspec.structs import replace

from frostline.core.effects import FunctionFailed, Succeeded
from frostline.core.payload import Payload
from frostline.trials.doctor.baseline import failure
from frostline.trials.doctor.plan import Cell, Untried
from frostline.trials.doctor.verdict import EXIT_STATUS, Verdict, outcome, verdict
from frostline.trials.trial import Invoked, Result
from tests.trials.doctor.examples import finding, healthy, outcome_of

CELL = Cell(destination="redis.local:6379", happening="lost", gap_s=6.0)
FINE = Cell(destination=None, happening="survive", gap_s=6.0)


def answered(body: bytes = b"{}", *, took: float = 0.01, failed: bool = False) -> Invoked:
    payload = Payload(body)
    return Invoked(
        request_id="r", begin=100.0, end=100.0 + took, outcome=FunctionFailed(payload=payload) if failed else Succeeded(payload=payload)
    )


def result(*invocations: Invoked, finished: bool = True) -> Result:
    return Result(trial="t", invocations=list(invocations), finished=finished)


def judge(*outcomes: object, found: object = None, interrupted: bool = False) -> Verdict:
    return verdict(
        "orders",
        found or healthy("redis.local:6379"),  # type: ignore[arg-type]
        outcomes,  # type: ignore[arg-type]
        [],
        invocations=10,
        took_s=1.0,
        interrupted=interrupted,
    )


def test_only_what_came_after_the_freeze_counts() -> None:
    before, after = answered(failed=True), answered()
    assert outcome(CELL, [result(before, after)], healthy(), judged=1).failed == 0
    assert outcome(CELL, [result(after, before)], healthy(), judged=1).failed == 1


def test_an_answer_that_took_a_retry_is_slow_and_not_failed() -> None:
    made = outcome(CELL, [result(answered(), answered(took=5.0))], healthy(), judged=1)
    assert (made.failed, made.slow, made.longest_s) == (0, 1, 5.0)


def test_a_trial_that_did_not_end_says_nothing() -> None:
    made = outcome(CELL, [result(answered(), finished=False)], healthy(), judged=1)
    assert not made.known


def test_an_api_that_answers_500_failed() -> None:
    assert failure(answered(b'{"statusCode": 502, "body": "upstream"}')) == "it answered statusCode 502: upstream"
    assert failure(answered(b'{"statusCode": 404}')) is None
    assert failure(answered(b'{"statusCode": true}')) is None
    assert failure(answered(b'"text"')) is None


def test_one_failed_cell_is_enough() -> None:
    said = judge(outcome_of(FINE), outcome_of(CELL, failed=1, findings=(finding(),)))
    assert said.status == "does_not_survive"
    assert said.reason == "it failed in 1 of 2 cells"
    assert EXIT_STATUS[said.status] == 1
    assert [one.rule for one in said.findings] == ["stale-connection-reused"]


def test_nothing_is_claimed_of_a_function_that_fails_anyway() -> None:
    ill = replace(healthy("redis.local:6379"), failures=2, error="KeyError: 'id'")
    said = judge(outcome_of(CELL, failed=2, findings=(finding(),)), found=ill)
    assert (said.status, said.findings) == ("not_judged", ())
    assert said.reason == "it fails without being frozen, 2 of 9 times: KeyError: 'id'"
    assert EXIT_STATUS[said.status] == 2


def test_an_interrupted_checkup_says_what_it_knows() -> None:
    said = judge(outcome_of(FINE), outcome_of(CELL, trials=0), interrupted=True)
    assert said.status == "not_judged"
    assert said.untried == (Untried(what="1 of 2 cells", why="it was interrupted"),)
    assert judge(outcome_of(FINE, failed=1), outcome_of(CELL, trials=0), interrupted=True).status == "does_not_survive"


def test_the_same_finding_in_many_cells_is_one() -> None:
    many = [outcome_of(CELL, failed=1, findings=(finding("no-reuse", severity="cost"), finding())) for _ in range(3)]
    said = judge(*many)
    assert [(one.rule, one.times) for one in said.findings] == [("stale-connection-reused", 3), ("no-reuse", 3)]
