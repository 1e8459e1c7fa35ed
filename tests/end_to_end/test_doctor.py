"""`frostline doctor` on functions as users have them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import MakeProject
from .running import FROSTLINE, LIMIT_S, RUNTIME, surroundings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

DOCTOR_LIMIT_S = 5 * LIMIT_S

STAND_IN = "orders.local:8080=http1,idle=60"


@pytest.fixture(scope="module")
def folder(project: MakeProject) -> Path:
    return project("doctor")


def command(folder: Path, handler: str, *more: str) -> list[str]:
    return [*FROSTLINE, "doctor", str(folder), "--handler", f"app.{handler}", "--runtime", RUNTIME, "--upstream", STAND_IN, "--json", *more]


def doctor(folder: Path, handler: str, *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, the function's verdict, and what a person was told."""
    home = folder.parent
    done = subprocess.run(
        command(folder, handler, *more),
        cwd=home,
        env=surroundings(home),
        capture_output=True,
        text=True,
        timeout=DOCTOR_LIMIT_S,
        check=False,
    )
    assert done.stdout, done.stderr
    (said,) = json.loads(done.stdout)["functions"]
    return done.returncode, said, done.stderr


def marks(said: dict[str, Any]) -> dict[tuple[str, float, str], int]:
    """Failed trials by what happened, the gap, and the moment."""
    return {(one["cell"]["happening"], one["cell"]["gap_s"], one["cell"]["moment"]): one["failed"] for one in said["outcomes"]}


def test_a_connection_that_is_kept_for_ever(folder: Path) -> None:
    """A client that never looks whether its connection is over; hours cost no time."""
    html = folder.parent / "html"
    code, said, told = doctor(folder, "keeps", "--trials", "1", "--gap", "6s", "--gap", "6h", "--html", str(html))
    assert code == 1, told
    assert "It connects to orders.local:8080 (HTTP, http.client, kept open)." in told
    found = marks(said)
    assert found["survive", 6.0, "idle"] == 0
    assert found["lost", 21600.0, "idle"] == found["blackhole", 21600.0, "idle"] == 1
    # The stand-in waits for a minute, so that it closes nothing within 6 s.
    assert ("lost", 6.0, "idle") not in found
    assert found["survive", 6.0, "lingering"] == found["survive", 6.0, "in_flight"] == 0
    rules = {finding["rule"]: finding for finding in said["findings"]}
    assert {"stale-connection-reused", "black-hole"} <= set(rules)
    stale = rules["stale-connection-reused"]
    assert (stale["severity"], stale["destination"], stale["cures"][0]["client"]) == ("failure", "orders.local:8080", "http.client")
    assert "after 60.0 s without a byte" in stale["claim"], "times are those that the environment lived"
    assert said["unexplained"] == []
    assert (html / "index.html").is_file()
    assert len(list(html.glob("*.html"))) == 1 + sum(count > 0 for count in found.values())


def test_a_connection_for_each_request(folder: Path) -> None:
    code, said, told = doctor(folder, "opens", "--trials", "1", "--gap", "6h")
    assert code == 0, told
    assert set(marks(said).values()) == {0}
    assert said["findings"] == []
    assert [finding["rule"] for finding in said["costs"]] == ["no-reuse"]


@contextmanager
def started(folder: Path, scratch: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    """A doctor that would take half an hour, and has said something."""
    home = folder.parent
    with subprocess.Popen(
        command(folder, "alone", "--trials", "1", "--real", "--gap", "30m"),
        cwd=home,
        env={**surroundings(home), "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(DOCTOR_LIMIT_S, process.kill)
        watchdog.start()
        try:
            assert any(until in line for line in process.stderr)
            yield process
        finally:
            watchdog.cancel()
            process.kill()  # where it has not ended; what it made goes with it
    assert list(scratch.glob("frostline-doctor-*")) == [], "no recording is left behind"


def test_ctrl_c_gives_what_is_known(folder: Path, tmp_path: Path) -> None:
    with started(folder, tmp_path, "It will be invoked 4 times more") as process:
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=DOCTOR_LIMIT_S)
    assert process.returncode == 2
    (said,) = json.loads(output)["functions"]
    assert said["status"] == "not_judged"
    assert said["baseline"]["failures"] == 0
    assert said["untried"] == [{"what": "1 of 1 cells", "why": "it was interrupted"}]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_before_anything_is_known(folder: Path, tmp_path: Path, times: int) -> None:
    with started(folder, tmp_path, "invoked 14 times first") as process:
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
        output, told = process.communicate(timeout=DOCTOR_LIMIT_S)
    # A machine may be so busy that something is known by then.
    assert process.returncode == (2 if output else 130)
    assert "Traceback" not in told
    assert "Warning" not in told
