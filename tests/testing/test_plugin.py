"""The plugin, in pytest runs of their own: what a user's tests get, and what they say when they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.testing.projects import LIMIT_S, RUNTIME, UPSTREAM, command, project, run_pytest

pytest_plugins = ["pytester"]

HEAD = f"""
import pytest
from frostline.testing import AsyncFrostline, Fate, Frostline

pytestmark = pytest.mark.frostline(upstreams=["{UPSTREAM}"])
"""

TESTS = (
    HEAD
    + """
def test_survives(frostline: Frostline) -> None:
    fn = frostline.function("template.yaml", "Healthy")
    fn.invoke()
    fn.idle(seconds=6, fate="lost")
    assert fn.invoke().ok
    assert fn.findings == []

def test_does_not_survive(frostline: Frostline) -> None:
    fn = frostline.function("../template.yaml", "Orders")
    fn.invoke()
    fn.idle(hours=8, fate="lost")
    assert fn.invoke().ok

@pytest.mark.frostline(gaps=["6s", 61], fates=["lost"])
def test_many(frostline: Frostline, gap: str, fate: Fate) -> None:
    fn = frostline.function("template.yaml", "Orders")
    fn.invoke()
    fn.idle(gap, fate=fate)
    assert fn.invoke().ok == (gap == "6s")

@pytest.mark.asyncio
async def test_under_pytest_asyncio(async_frostline: AsyncFrostline) -> None:
    await survives(async_frostline)

@pytest.mark.anyio
async def test_under_anyio(async_frostline: AsyncFrostline) -> None:
    await survives(async_frostline)

async def survives(frostline: AsyncFrostline) -> None:
    fn = await frostline.function("template.yaml", "Healthy")
    await fn.invoke()
    await fn.idle("6s", fate="lost")
    assert (await fn.invoke()).ok
    assert await fn.findings() == []

@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

def test_asks_for_what_is_not_there(frostline: Frostline) -> None:
    frostline.function("template.yaml", "Order")

@pytest.mark.frostline(upstreams=[])
def test_reaches_out(frostline: Frostline) -> None:
    assert frostline.function("template.yaml", "Orders").invoke().ok

def test_is_not_built(frostline: Frostline) -> None:
    assert frostline.function("unbuilt", handler="app.handler", runtime="RUNTIME").invoke().ok

@pytest.mark.xfail(strict=True)
def test_is_known_to_fail(frostline: Frostline) -> None:
    assert frostline.function("template.yaml", "Orders").invoke({"sleep": "x"}).ok
"""
)


def section(output: str, test: str) -> str:
    """What pytest prints of a failed test."""
    return output.partition(f"_ {test} _")[2].partition("\n___")[0].partition("\n===")[0]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = project(tmp_path_factory.mktemp("plugin"), tests__test_orders=TESTS.replace("RUNTIME", RUNTIME))
    (folder / "unbuilt").mkdir()
    (folder / "unbuilt" / "app.py").write_text("import not_there\n")
    (folder / "unbuilt" / "requirements.txt").write_text("not-there\n")
    return run_pytest(folder, "tests", "-rA", "--frostline-output", "timelines", "--junitxml", str(folder / "junit.xml"))


def test_each_test_comes_out_as_it_should(ran: subprocess.CompletedProcess[str]) -> None:
    outcomes = {
        line.split()[1].partition("::")[2]: line.split()[0]
        for line in ran.stdout.splitlines()
        if "::" in line and line.split()[0].isupper()
    }
    assert outcomes == {
        "test_survives": "PASSED",
        "test_does_not_survive": "FAILED",
        "test_many[6s-lost]": "PASSED",
        "test_many[61-lost]": "PASSED",
        "test_under_pytest_asyncio": "PASSED",
        "test_under_anyio": "PASSED",
        "test_asks_for_what_is_not_there": "FAILED",
        "test_reaches_out": "FAILED",
        "test_is_not_built": "FAILED",
        "test_is_known_to_fail": "XFAIL",
    }, ran.stdout


def test_a_failed_test_shows_finding_cure_and_timeline(ran: subprocess.CompletedProcess[str]) -> None:
    told = section(ran.stdout, "test_does_not_survive")
    _, separator, told = told.partition("- Frostline -")
    assert separator
    lines = [line.strip() for line in told.splitlines()]
    assert lines[1] == "Orders"
    assert lines[2].startswith("invoked: ok after")
    assert lines[3] == "idle for 8h, lost"
    assert "ConnectionResetError: [Errno 104] Connection reset by peer" in lines[4]
    assert "event None" in lines, "what the function printed"
    assert "1. stale-connection-reused (failure)" in lines
    assert any(line.startswith("+0.000 s") for line in lines), "the proof"
    assert any(line.startswith("Cure, http.client: ") for line in lines)
    (timeline,) = [Path(line.removeprefix("Timeline: ")) for line in lines if line.startswith("Timeline: ")]
    assert timeline.name == "tests-test_orders.py-test_does_not_survive-Orders.html"
    assert timeline.parent.name == "timelines"
    assert "stale-connection-reused" in timeline.read_text()
    assert timeline.with_suffix(".story.jsonl").exists()


def test_junit_xml_has_it_too(ran: subprocess.CompletedProcess[str]) -> None:
    found = ET.parse(Path(ran.args[-1]))
    (failure,) = found.iterfind(".//testcase[@name='test_does_not_survive']/failure")
    assert "1. stale-connection-reused (failure)" in (failure.text or "")
    assert "Timeline: " in (failure.text or "")


def test_what_was_asked_wrongly_is_said_at_the_line_that_asked(ran: subprocess.CompletedProcess[str]) -> None:
    told = section(ran.stdout, "test_asks_for_what_is_not_there")
    assert '>       frostline.function("template.yaml", "Order")' in told
    assert "has no function 'Order'. It has Orders, Healthy." in told
    assert "/frostline/testing/" not in told.replace(os.sep, "/"), "how Frostline found out is nobody's business"


def test_what_is_outside_of_the_lab_is_named(ran: subprocess.CompletedProcess[str]) -> None:
    told = section(ran.stdout, "test_reaches_out")
    assert "inventory.example.com:80 was not reached: it is outside of the lab" in told
    assert "upstreams=[...] puts a server in its place" in told


def test_a_function_that_was_not_built_is_told_how(ran: subprocess.CompletedProcess[str]) -> None:
    told = section(ran.stdout, "test_is_not_built")
    assert "No module named 'not_there'" in told
    assert "/unbuilt/requirements.txt lists: not-there. Run `sam build`, or `pip install" in told


def test_workers_of_xdist_have_labs_of_their_own(tmp_path: Path) -> None:
    test = """
def test_survives(frostline: Frostline) -> None:
    fn = frostline.function("template.yaml", "Healthy")
    fn.invoke()
    fn.idle("6s", fate="lost")
    assert fn.invoke().ok

def test_does_not(frostline: Frostline) -> None:
    fn = frostline.function("template.yaml", "Orders")
    fn.invoke()
    fn.idle("8h", fate="lost")
    assert fn.invoke().ok
"""
    ran = run_pytest(project(tmp_path, test_orders=HEAD + test), "-n", "2", "--dist", "each", "-rA")
    assert "2 failed, 2 passed" in ran.stdout, ran.stdout
    assert ran.stdout.count("1. stale-connection-reused (failure)") == 2
    assert ran.stdout.count("Timeline: ") == 2


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    test = """
def test_waits(frostline: Frostline) -> None:
    fn = frostline.function("template.yaml", "Orders", timeout=300)
    fn.invoke()
    print("NOW", flush=True)
    fn.invoke({"sleep": 300})
"""
    folder, marker = project(tmp_path / "project", test_orders=HEAD + test), uuid.uuid4().hex
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        command("-s", "--basetemp", str(tmp_path / "base")),
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), "FROSTLINE_TEST_RUN": marker},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        too_late = threading.Timer(LIMIT_S, process.kill)
        too_late.start()
        try:
            assert any("NOW" in line for line in process.stdout)
            os.killpg(process.pid, signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(LIMIT_S) == pytest.ExitCode.INTERRUPTED
        finally:
            too_late.cancel()
            process.kill()
    assert "KeyboardInterrupt" in rest
    assert "Error" not in rest.replace("KeyboardInterrupt", ""), rest
    assert started_with(marker) == []
    assert [path for path in temporary.rglob("*") if path.parent != temporary] == []


def started_with(marker: str) -> list[str]:
    """Processes that have it in their environment, or did when they were started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and marker.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


REFUSED = {
    'gaps=["6s"]': ("frostline", "gaps= is there for tests that take `gap` as an argument, and this one does not"),
    'gaps=["soon"]': ("frostline, gap", "'soon' is not how long an environment can be idle"),
    'gaps="6s"': ("frostline, gap", "gaps='6s' is not a list"),
    'fates=["dead"]': ("frostline, fate", "'dead' is not a fate. There are survive"),
    'gap=["6s"]': ("frostline", "gap is nothing that it takes. There are gaps, fates, level, upstreams, allow_network"),
    '"6s"': ("frostline", "'6s' is nothing that it takes"),
}
"""What a marker is given, a test's arguments, and what is said."""


def test_a_marker_that_makes_no_sense_is_refused(pytester: pytest.Pytester) -> None:
    for number, (marker, (arguments, _)) in enumerate(REFUSED.items()):
        pytester.makepyfile(**{f"test_{number}": f"import pytest\n@pytest.mark.frostline({marker})\ndef test_it({arguments}): pass\n"})
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    result.assert_outcomes(errors=len(REFUSED))
    for number, (_, said) in enumerate(REFUSED.values()):
        result.stdout.fnmatch_lines([f"test_{number}.py::test_it: @pytest.mark.frostline: {said}*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_modules_gaps_are_for_those_tests_that_take_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.frostline(gaps=["6s", "8h"], fates=["lost"])
        def test_takes_both(gap, fate): assert (gap, fate) in [("6s", "lost"), ("8h", "lost")]
        def test_takes_none(): pass
        @pytest.mark.frostline(gaps=["1s"])
        def test_has_its_own(gap, fate): assert (gap, fate) == ("1s", "lost")
        """
    )
    pytester.runpytest_inprocess("-p", "no:asyncio", "--strict-markers").assert_outcomes(passed=4)


def test_a_run_that_does_not_use_it_imports_nothing() -> None:
    program = "import sys, frostline.testing.plugin; print([name for name in sys.modules if name.startswith(('frostline.', 'msgspec', 'asyncio'))])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() in (
        "['frostline.testing', 'frostline.testing.plugin']",
        "['frostline.testing', 'asyncio', 'frostline.testing.plugin']",
    )
