"""Many frozen environments at once: the memory of each, how long all take to freeze and to thaw, and what processor time they use."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client import WrongAnswer, many_clients
from processes import available_bytes, cpu_seconds, descendants, memory_bytes, runs_a_function
from servers import Python, Server, frostline, make_project

WATCH_S = 5.0
SETTLE_S = 2.0
MB = 1024 * 1024


def measure(folder: Path, python: Python, environments: int) -> dict[str, Any]:
    """The figures of `frozen_200`, for as many environments as asked for."""
    story = folder / "frozen.story.jsonl"
    project = make_project(folder / "frozen", python, environments)
    with frostline(project, ["--spares", "0", "--story", str(story)]) as server:
        time.sleep(SETTLE_S)
        before = _memory(server)
        held = _hold(server, environments)
        time.sleep(SETTLE_S)
        after = _memory(server)
        inside, outside = _divided(server)
        cpu = cpu_seconds(inside), cpu_seconds(outside)
        time.sleep(WATCH_S)
        cpu = cpu_seconds(inside) - cpu[0], cpu_seconds(outside) - cpu[1]
        thawed_from = time.time()
        _hold(server, environments, 1.0)
        time.sleep(SETTLE_S)
    return {
        "environments": held,
        "memory_per_environment_mb": {
            "pss": round((after[0] - before[0]) / held / MB, 2),
            "whole_machine": round((before[1] - after[1]) / held / MB, 2),
        },
        **_from_story(story, thawed_from),
        "cpu_while_frozen": {
            "watched_s": WATCH_S,
            "processes": len(inside),
            "environments_s": round(cpu[0], 6),
            "frostline_s": round(cpu[1], 6),
        },
    }


def _memory(server: Server) -> tuple[int, int]:
    return memory_bytes([server.process.pid, *descendants(server.process.pid)]), available_bytes()


def _divided(server: Server) -> tuple[list[int], list[int]]:
    """The processes of the environments, and frostline's own."""
    everything = [server.process.pid, *descendants(server.process.pid)]
    inside = [pid for pid in everything if runs_a_function(pid)]
    return inside, [pid for pid in everything if pid not in inside]


def _hold(server: Server, environments: int, seconds: float | None = None) -> int:
    """Invoke so many at once that each needs an environment of its own; returns how many environments answered.

    Every invocation sleeps until the same moment. When the last environment starts after that moment, an earlier one serves twice;
    then again, with more time.
    """
    wait = seconds or max(10.0, environments * 0.2)
    while True:
        burst = many_clients(server.port, environments, payload=json.dumps({"until": time.time() + wait}).encode())
        streams = set(burst.bodies)
        if len(streams) == environments or seconds is not None:
            return len(streams)
        if wait > 300:
            raise WrongAnswer(f"only {len(streams)} of {environments} environments were up at once, even within {wait:.0f} s")
        print(f"only {len(streams)} of {environments} environments within {wait:.0f} s; again, with twice the time", file=sys.stderr)
        wait *= 2


def _from_story(path: Path, since: float) -> dict[str, Any]:
    """How long the freezer took, from frostline's own recording: each time, and from the first order to the last answer.

    `since`: when all were frozen and the invocations that wake them all were about to be sent.
    """
    answers = {"EnvironmentFrozen": "FreezeEnvironment", "EnvironmentThawed": "ThawEnvironment"}
    took: dict[str, list[tuple[float, float]]] = {order: [] for order in answers.values()}
    ordered: dict[tuple[str, str], float] = {}
    for at, kind, environment in _lines(path):
        if kind in took and at >= since:
            ordered[kind, environment] = at
        elif kind in answers and (answers[kind], environment) in ordered:
            took[answers[kind]].append((ordered.pop((answers[kind], environment)), at))
    return {"freeze": _spread(took["FreezeEnvironment"]), "thaw": _spread(took["ThawEnvironment"])}


def _spread(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    if not pairs:
        return {"count": 0}
    each = sorted(end - begin for begin, end in pairs)
    return {
        "count": len(pairs),
        "all_ms": round((max(end for _, end in pairs) - min(begin for begin, _ in pairs)) * 1000, 3),
        "median_ms": round(each[len(each) // 2] * 1000, 3),
        "slowest_ms": round(each[-1] * 1000, 3),
    }


def _lines(path: Path) -> Iterator[tuple[float, str, str]]:
    """Time, name and environment of every event and effect in a story."""
    with path.open("rb") as file:
        for line in file:
            read = json.loads(line)
            thing = read.get("event") or read.get("effect")
            if thing and "environment" in thing and isinstance(kind := thing.get("event") or thing.get("effect"), str):
                yield read["at"], kind, thing["environment"]
