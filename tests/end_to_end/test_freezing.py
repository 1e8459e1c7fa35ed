"""What stands still between invocations, when, and that nobody's invocation is lost by it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import MakeProject
from .running import FUNCTIONS, LIMIT_S, RUNTIME, Held, Server, up

GAP_S = 0.6
BACKGROUND = ("thread", "child", "grandchild")


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    with up(home, project("freezing") / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as running:
        yield running


def over_a_gap(server: Server, state: str, gap_s: float = GAP_S) -> dict[str, float]:
    """How much each of the function's clocks and counters went on while nobody invoked it."""
    before = server.invoke("ticker", {"run": 0.1}).payload
    server.until_state("ticker", state)
    time.sleep(gap_s)
    after = server.invoke("ticker").payload
    return {name: after[name] - before[name] for name in before}


def stood_still(gone: dict[str, float]) -> bool:
    """Whether what counts in the background did not while it was frozen: it had what is left of the time, and a tick that was overdue."""
    return all(gone[name] <= gone["clock"] - GAP_S + 0.05 for name in BACKGROUND)


def went_on(gone: dict[str, float], gap_s: float) -> bool:
    """Whether it counted more than it can have outside of the gap."""
    return all(gone[name] > gone["clock"] - gap_s for name in BACKGROUND)


def test_background_work_counts_only_the_time_spent_running(server: Server) -> None:
    gone = over_a_gap(server, "frozen")
    assert gone["clock"] >= GAP_S
    assert gone["monotonic"] == pytest.approx(gone["clock"], abs=GAP_S / 2), "clocks run on, as measured on Lambda"
    assert stood_still(gone), gone
    running = server.invoke("ticker").payload
    later = server.invoke("ticker", {"run": 0.5}).payload
    assert all(later[name] > running[name] for name in BACKGROUND), "and it counts while an invocation runs"


def test_without_freezing_background_work_goes_on(tmp_path: Path) -> None:
    with up(tmp_path, FUNCTIONS / "freezing" / "template.yaml", "--parameter", f"Runtime={RUNTIME}", "--freeze", "off") as server:
        assert server.started["level"]["freezer"] == "off"
        assert any(went_on(over_a_gap(server, "idle", gap_s), gap_s) for gap_s in (GAP_S, 4 * GAP_S, 16 * GAP_S)), (
            "however busy the machine"
        )


def test_signals_freeze_as_well(tmp_path: Path) -> None:
    """The level of machines without control groups: SIGSTOP to the whole tree."""
    with up(tmp_path, FUNCTIONS / "freezing" / "template.yaml", "--parameter", f"Runtime={RUNTIME}", "--freeze", "signals") as server:
        assert server.started["level"]["freezer"] == "signals"
        gone = over_a_gap(server, "frozen")
        assert stood_still(gone), gone
        assert [server.invoke("echo", {"n": n}).payload["n"] for n in range(50)] == list(range(50))


def test_an_init_that_nobody_waits_for_is_followed_by_a_freeze(server: Server, held: Held) -> None:
    """The second invocation is served by the first environment, before the one that was started for it is there."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.invoke, "slow-init", {"held": held.port})
        held.wait(1)
        second = pool.submit(server.invoke, "slow-init")
        server.until_logged("slow-init", "INIT_START", 2)
        held.let_go()
        streams = {first.result().payload["stream"], second.result().payload["stream"]}
    assert len(streams) == 1
    end = time.monotonic() + LIMIT_S
    while [e["state"] for e in server.environments("slow-init")] != ["frozen", "frozen"]:
        assert time.monotonic() < end, server.environments("slow-init")
        time.sleep(0.01)
    time.sleep(GAP_S)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(server.invoke, "slow-init", {"held": held.port}) for _ in range(2)]
        held.wait(2)  # one in each environment
        held.let_go()
        answers = [future.result().payload for future in running]
    fresh = next(answer for answer in answers if answer["stream"] not in streams)
    assert fresh["ticks"] * fresh["tick"] <= fresh["clock"] - GAP_S + 0.05, "its background thread stood still, too"


def test_the_state_of_environments_can_be_seen(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.invoke, "ticker", {"run": 0.5})
        seen = server.until_state("ticker", "busy")
        assert running.result().error is None
    later = server.until_state("ticker", "frozen")
    assert (later["environment"], later["logStream"]) == (seen["environment"], seen["logStream"])
    assert later["since"] > seen["since"]


@pytest.mark.parametrize("delay", ["0ms", "2ms"])
def test_invocations_at_any_moment_of_a_freeze_are_served_by_the_same_environment(tmp_path: Path, delay: str) -> None:
    """Gaps around the time that a freeze takes: they arrive before, while and after it."""
    choose = random.Random(delay)
    with up(tmp_path, FUNCTIONS / "freezing" / "template.yaml", "--parameter", f"Runtime={RUNTIME}", "--freeze-delay", delay) as server:
        streams = set()
        for number in range(1, 201):
            answer = server.invoke("echo", {"n": number})
            assert (answer.error, answer.payload["n"], answer.payload["request"]) == (None, number, answer.request_id)
            assert answer.payload["served"] == number
            streams.add(answer.payload["stream"])
            time.sleep(choose.choice((0, 0.0002, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.004)))
        assert len(streams) == 1, "no race makes a new environment"


def test_idle_environments_are_reclaimed_and_chaos_reclaims_all(tmp_path: Path) -> None:
    options = ("--parameter", f"Runtime={RUNTIME}", "--idle-timeout", "300ms")
    with up(tmp_path / "idle", FUNCTIONS / "freezing" / "template.yaml", *options) as server:
        stream = server.invoke("echo").payload["stream"]
        end = time.monotonic() + LIMIT_S
        while server.environments("echo"):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert server.invoke("echo").payload["stream"] != stream
    with up(tmp_path / "chaos", FUNCTIONS / "freezing" / "template.yaml", *options[:2], "--chaos", "1") as server:
        assert len({server.invoke("echo").payload["stream"] for _ in range(10)}) == 10
