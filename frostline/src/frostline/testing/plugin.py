"""The pytest plugin: fixtures with functions that freeze, and the findings of a test that failed.

docs/testing.md tells how it is used. Every pytest run on a machine with Frostline imports this module, so it imports nothing of Frostline before a test
asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from .frozen import Frostline
    from .frozen_async import AsyncFrostline
    from .session import Session

F = TypeVar("F", "Frostline", "AsyncFrostline")

MARKER = "frostline"

_ASKED: pytest.StashKey[list[Frostline | AsyncFrostline]] = pytest.StashKey()
_FOLDER: pytest.StashKey[Path] = pytest.StashKey()
"""Where the timelines of a failed test go, where nothing else is said."""

_SETTINGS = ("level", "upstreams", "allow_network")
_PARAMETERS = {"gaps": "gap", "fates": "fate"}
"""What a marker gives several of, and the argument of a test that takes one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--frostline-output`."""
    parser.getgroup("frostline", "functions that freeze (Frostline)").addoption(
        "--frostline-output",
        metavar="DIR",
        help="Write the timelines of functions in failed tests to this folder. Default: each test's tmp_path.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, gaps=[...], fates=[...], level=..., upstreams=[...], allow_network=...): run a test once for each gap and fate, which it takes as its "
        "arguments `gap` and `fate`; and what its functions live with, unless function(...) says otherwise (Frostline).",
    )


# Markers -------------------------------------------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each gap and fate of its markers."""
    given = _marked(metafunc.definition)
    for several, one in _PARAMETERS.items():
        if several not in given:
            continue
        if one in metafunc.fixturenames:
            values = _values(several, given[several], metafunc.definition)
            metafunc.parametrize(one, values, ids=[str(value) for value in values])
        elif any(several in mark.kwargs for mark in metafunc.definition.own_markers if mark.name == MARKER):
            _refuse(metafunc.definition, f"{several}= is there for tests that take `{one}` as an argument, and this one does not.")


def _marked(item: pytest.Item) -> dict[str, Any]:
    """What the markers of a test say; the closest one counts."""
    given: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):
        unknown = [name for name in mark.kwargs if name not in (*_PARAMETERS, *_SETTINGS)]
        if mark.args or unknown:
            what = unknown[0] if unknown else repr(mark.args[0])
            _refuse(item, f"{what} is nothing that it takes. There are {', '.join([*_PARAMETERS, *_SETTINGS])}, each with its name.")
        given = {**mark.kwargs, **given}
    return given


def _values(several: str, values: Any, item: pytest.Item) -> list[Any]:
    from .errors import FrostlineError
    from .gap import fate_of, seconds_of

    if isinstance(values, str) or not isinstance(values, Sequence):
        _refuse(item, f"{several}={values!r} is not a list.")
    wrong = None
    for value in values:
        try:
            seconds_of(value) if several == "gaps" else fate_of(value)
        except FrostlineError as error:
            wrong = wrong or str(error)
    if wrong is not None:
        _refuse(item, wrong)
    return list(values)


def _refuse(item: pytest.Item, why: str) -> NoReturn:
    pytest.fail(f"{item.nodeid}: @pytest.mark.{MARKER}: {why}", pytrace=False)


# Fixtures ------------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _frostline_session() -> Iterator[Session]:
    """What the tests of a process share."""
    from .session import Session

    session = Session()
    yield session
    session.close()


@pytest.fixture
def frostline(request: pytest.FixtureRequest) -> Iterator[Frostline]:
    """Functions that freeze: `fn = frostline.function("template.yaml", "Orders")`."""
    from .frozen import Frostline

    yield from _of_a_test(request, Frostline)


@pytest.fixture
def async_frostline(request: pytest.FixtureRequest) -> Iterator[AsyncFrostline]:
    """The same for coroutines: `fn = await async_frostline.function("template.yaml", "Orders")`."""
    from .frozen_async import AsyncFrostline

    # Not a coroutine itself, so that it does not matter which plugin runs the test.
    yield from _of_a_test(request, AsyncFrostline)


def _of_a_test(request: pytest.FixtureRequest, kind: type[F]) -> Iterator[F]:
    config, stash = request.config, request.node.stash
    stash[_FOLDER] = request.getfixturevalue("tmp_path")
    # Where relative paths may begin: where pytest was started, its rootdir, beside the test.
    folders = config.invocation_params.dir, config.rootpath, request.path.parent
    settings = {name: value for name, value in _marked(request.node).items() if name in _SETTINGS}
    made = kind(session=request.getfixturevalue("_frostline_session"), folders=folders, **settings)
    there = stash.setdefault(_ASKED, [])
    there.append(made)
    yield made
    there.remove(made)
    made.lives.close()


# A failed test -------------------------------------------------------------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """What its functions have to say is part of its report."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if call.when == "call" and report.failed:
        # As part of the failure it is in JUnit XML, too, where sections of a report are not.
        add = getattr(report.longrepr, "addsection", lambda *section: report.sections.append(section))
        for asked in item.stash.get(_ASKED, []):
            if asked.lives.all:
                add("Frostline", _told(item, asked))


def _told(item: pytest.Item, asked: Frostline | AsyncFrostline) -> str:
    from .told import told

    output = item.config.getoption("--frostline-output")
    if output is None:
        folder, prefix = item.stash[_FOLDER], "frostline-"
    else:
        folder, prefix = item.config.invocation_params.dir / output, f"{item.nodeid}-"
    try:
        return asked.lives.session.portal.call(told(asked.lives.all, folder, prefix))
    except Exception as error:  # noqa: BLE001 - the test's own failure must be seen, whatever is wrong with us
        return f"What its functions have to say could not be found out: {error!r}"
