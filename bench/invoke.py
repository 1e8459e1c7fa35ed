"""How fast an invocation is, on frostline and on AWS's runtime interface emulator (RIE), measured in the same run.

    .venv/bin/python bench/invoke.py            a table
    .venv/bin/python bench/invoke.py --json     one object
    .venv/bin/python bench/invoke.py --peers    @vercel/fun and serverless-offline as well (from npm)

Frostline freezes its environments throughout; RIE does not freeze. Times are milliseconds at the median, rates are invocations a second.
Servers take turns (frostline, RIE, frostline, RIE), so that a machine that grows slower is slow for both; no figure here is compared with
one of another day. `ratio` is above 1 where frostline is better.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import frozen
import peers
from client import Client, WrongAnswer, many_clients
from servers import Python, Server, ServerError, find_python, frostline, frostline_takes, make_project, rie

WARM_UP = 30
IDLE_S = 0.05
SETTLE_S = 1.0
"""How long a fresh server is left alone before its cold start is measured: a developer's first invocation never comes at once."""

NEVER_FROZEN = "frostline_never_frozen"
"""Frostline with freezing off: what remains of an idle time's cost is the machine's (cold caches, sleeping processors), not the thaw's."""

RIE_IS_ALONE = "RIE serves one invocation at a time and ends when a second one arrives: compared with its one client"


class Bench:
    """One run: where the function lies, and how long each part takes."""

    def __init__(self, folder: Path, python: Python, rie_binary: Path, *, rounds: int, seconds: float, samples: int) -> None:
        self.folder = folder
        self.python = python
        self.rie_binary = rie_binary
        self.rounds = rounds
        self.seconds = seconds
        self.samples = samples
        self.one = make_project(folder / "one", python, concurrency=1)
        self.eight = make_project(folder / "eight", python, concurrency=8)

    def rie(self) -> AbstractContextManager[Server]:
        """RIE, fresh."""
        return rie(self.rie_binary, self.one, self.python)

    def warm_and_after_idle(self) -> dict[str, Any]:
        """Back to back, and each after an idle time in which frostline freezes; both on servers that stay up."""
        with ExitStack() as stack:
            servers = {"frostline": frostline(self.one), "rie": self.rie(), NEVER_FROZEN: frostline(self.one, ["--freeze", "off"])}
            clients = {}
            for name, server in servers.items():
                clients[name] = Client(stack.enter_context(server).port)
                stack.callback(clients[name].close)
            warm = self._warm(clients)
            return {"warm": warm, "after_idle": self._after_idle(clients, warm)}

    def _warm(self, clients: dict[str, Client]) -> dict[str, Any]:
        latencies: dict[str, list[float]] = {name: [] for name in clients}
        rates: dict[str, list[float]] = {name: [] for name in clients}
        for _ in range(self.rounds):
            for name, client in clients.items():
                for _ in range(WARM_UP):
                    client.invoke()
                took = client.back_to_back(self.seconds)
                latencies[name] += took
                rates[name].append(len(took) / sum(took))
        figures: dict[str, Any] = {
            name: {
                "per_second": round(statistics.median(rates[name]), 1),
                "rounds": [round(rate) for rate in rates[name]],
                **_times(latencies[name]),
            }
            for name in clients
        }
        return {**figures, "ratio": _ratio(figures["frostline"]["per_second"], figures["rie"]["per_second"])}

    def _after_idle(self, clients: dict[str, Client], warm: dict[str, Any]) -> dict[str, Any]:
        latencies: dict[str, list[float]] = {name: [] for name in clients}
        for _ in range(self.samples):
            for name, client in clients.items():
                time.sleep(IDLE_S / len(clients))
                latencies[name].append(client.invoke())
        figures: dict[str, Any] = {}
        for name in clients:
            times = _times(latencies[name])
            figures[name] = {**times, "more_than_warm_ms": round(times["median_ms"] - warm[name]["median_ms"], 3)}
        thaw = figures["frostline"]["median_ms"] - figures[NEVER_FROZEN]["median_ms"] if NEVER_FROZEN in figures else None
        figures["thaw_costs_ms"] = None if thaw is None else round(thaw, 3)
        return {"idle_ms": IDLE_S * 1000, **figures, "ratio": _ratio(figures["rie"]["median_ms"], figures["frostline"]["median_ms"])}

    def eight_clients(self, one_client_of_rie: float) -> dict[str, Any]:
        """Eight clients at once on concurrency 8, and one client of the same server beside it."""
        rates: dict[int, list[float]] = {1: [], 8: []}
        latencies: dict[int, list[float]] = {1: [], 8: []}
        with frostline(self.eight) as server:
            many_clients(server.port, 8, payload=json.dumps({"until": time.time() + 3}).encode())  # every environment is up
            for _ in range(self.rounds):
                for clients, measured in rates.items():
                    many_clients(server.port, clients, seconds=self.seconds / 7)
                    burst = many_clients(server.port, clients, seconds=self.seconds)
                    measured.append(len(burst.latencies) / burst.seconds)
                    latencies[clients] += burst.latencies
        rate = statistics.median(rates[8])
        figures = {
            "per_second": round(rate, 1),
            **_times(latencies[8]),
            "one_client_per_second": round(statistics.median(rates[1]), 1),
            "over_one_client": _ratio(rate, statistics.median(rates[1])),
        }
        return {"frostline": figures, "rie": None, "why_not_rie": RIE_IS_ALONE, "ratio": _ratio(rate, one_client_of_rie)}

    def cold(self, starts: int) -> dict[str, Any]:
        """The first invocation of a fresh server that already listens."""
        ways: dict[str, list[float]] = {"frostline": [], "rie": []}
        if frostline_takes("--spares"):
            ways["frostline_without_spares"] = []
        for _ in range(starts):
            for name, latencies in ways.items():
                spares = ["--spares", "0"] if name == "frostline_without_spares" else []
                with self.rie() if name == "rie" else frostline(self.one, spares) as server:
                    time.sleep(SETTLE_S)
                    client = Client(server.port)
                    latencies.append(client.invoke())
                    client.close()
        figures: dict[str, Any] = {name: _times(latencies) for name, latencies in ways.items()}
        rie_ms = figures["rie"]["median_ms"]
        ratios = {"ratio": _ratio(rie_ms, figures["frostline"]["median_ms"])}
        if "frostline_without_spares" in figures:
            ratios["ratio_without_spares"] = _ratio(rie_ms, figures["frostline_without_spares"]["median_ms"])
        return {"starts": starts, **figures, **ratios}


def _times(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        "median_ms": round(statistics.median(ordered) * 1000, 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000, 3),
    }


def _ratio(better: float, worse: float) -> float:
    return round(better / worse, 3)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that was asked for."""
    rie_binary = peers.rie_binary()
    python = find_python()
    with tempfile.TemporaryDirectory(prefix="frostline-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # a function's own user reads what is in it
        bench = Bench(folder, python, rie_binary, rounds=arguments.rounds, seconds=arguments.seconds, samples=arguments.samples)
        _say("warm, and after idle")
        result = {"python": python.runtime, **bench.warm_and_after_idle()}
        _say("eight clients")
        result["eight_clients"] = bench.eight_clients(result["warm"]["rie"]["per_second"])
        _say("cold")
        result["cold"] = bench.cold(arguments.starts)
        if arguments.environments:
            _say(f"{arguments.environments} frozen environments")
            result["frozen_200"] = frozen.measure(folder, python, arguments.environments)
        if arguments.peers:
            _say("peers from npm")
            try:
                result["peers"] = peers.measure(folder, arguments.seconds * arguments.rounds, arguments.starts)
            except (peers.PeerError, ServerError) as error:  # the figures above were not measured in vain
                result["peers"] = {"error": str(error)}
    return result


def table(result: dict[str, Any]) -> str:
    """The figures for a person."""
    warm, idle, eight, cold = (result[key] for key in ("warm", "after_idle", "eight_clients", "cold"))
    rows = [
        ("", "frostline", "RIE", "ratio"),
        ("warm, invocations/s", f"{warm['frostline']['per_second']:.0f}", f"{warm['rie']['per_second']:.0f}", f"{warm['ratio']:.2f}"),
        ("warm, median ms", f"{warm['frostline']['median_ms']:.2f}", f"{warm['rie']['median_ms']:.2f}", ""),
        ("after idle, median ms", f"{idle['frostline']['median_ms']:.2f}", f"{idle['rie']['median_ms']:.2f}", f"{idle['ratio']:.2f}"),
        ("  more than warm, ms", f"{idle['frostline']['more_than_warm_ms']:.2f}", f"{idle['rie']['more_than_warm_ms']:.2f}", ""),
        ("8 clients, invocations/s", f"{eight['frostline']['per_second']:.0f}", "cannot", f"{eight['ratio']:.2f}"),
        ("  over one client", f"{eight['frostline']['over_one_client']:.2f}", "", ""),
        ("cold, median ms", f"{cold['frostline']['median_ms']:.1f}", f"{cold['rie']['median_ms']:.1f}", f"{cold['ratio']:.2f}"),
    ]
    if "frostline_without_spares" in cold:
        rows.append(("  without spares", f"{cold['frostline_without_spares']['median_ms']:.1f}", "", f"{cold['ratio_without_spares']:.2f}"))
    lines = [f"{a:<26}{b:>12}{c:>12}{d:>9}" for a, b, c, d in rows]
    if "frozen_200" in result:
        many = result["frozen_200"]
        memory, watched = many["memory_per_environment_mb"], many["cpu_while_frozen"]
        lines.append(
            f"\n{many['environments']} frozen environments: {memory['pss']} MB each, "
            f"frozen in {many['freeze'].get('all_ms')} ms, thawed in {many['thaw'].get('all_ms')} ms, "
            f"{watched['environments_s']} s of processor time in {watched['watched_s']} s"
        )
    for name, figures in result.get("peers", {}).items():
        lines.append(f"{name}: {json.dumps(figures)}")
    return "\n".join(lines)


def _say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--peers", action="store_true", help="measure @vercel/fun and serverless-offline as well (installed from npm)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each server (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.7, help="length of a turn (default %(default)s)")
    parser.add_argument("--samples", type=int, default=200, help="invocations after idle (default %(default)s)")
    parser.add_argument("--starts", type=int, default=10, help="cold starts of each server (default %(default)s)")
    parser.add_argument(
        "--environments", type=int, default=200, help="environments to freeze at once; 0 leaves this out (default %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        result = run(arguments)
    except (ServerError, WrongAnswer, peers.PeerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
