"""`install` on bare clients: they keep the contract without a line changed, and a client that is not known is left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import boto3
import botocore.config
import httpcore
import httpx
import pytest
import requests
import urllib3

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.http_server import http_server
from thawsafe import UnknownClient, install, lambda_
from thawsafe._install.installer import uninstall
from thawsafe.adapters import httpx as safe_httpx
from thawsafe.adapters import urllib3 as safe_urllib3

Call = Callable[[str], object]
closing: list[Callable[[], object]] = []
"""What ends the clients of a test."""


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while closing:
        closing.pop()()


@pytest.fixture
def installed() -> Iterator[None]:
    install(lambda_())
    yield
    uninstall()


def with_urllib3(base: str) -> Call:
    manager = urllib3.PoolManager(retries=False, timeout=20.0)
    closing.append(manager.clear)
    return lambda tag: check(manager.request("POST", f"{base}/{tag}", body=b"x").status)


def with_urllib3_pool(base: str) -> Call:
    pool = urllib3.connection_from_url(base, retries=False, timeout=20.0)
    closing.append(pool.close)
    return lambda tag: check(pool.request("POST", f"/{tag}", body=b"x").status)


def with_requests(base: str) -> Call:
    session = requests.Session()
    session.trust_env = False
    closing.append(session.close)
    return lambda tag: check(session.post(f"{base}/{tag}", data=b"x", timeout=20.0).status_code)


def with_botocore(base: str) -> Call:
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=20.0)
    client = boto3.client(
        "s3", endpoint_url=base, config=config, aws_access_key_id="id", aws_secret_access_key="secret", region_name="eu-central-1"
    )
    closing.append(client.close)
    return lambda tag: client.create_multipart_upload(Bucket="bucket", Key=tag)


def with_httpx(base: str) -> Call:
    client = httpx.Client(trust_env=False, timeout=20.0)
    closing.append(client.close)
    return lambda tag: check(client.post(f"{base}/{tag}", content=b"x").status_code)


def with_aiohttp(base: str) -> Call:
    loop = asyncio.new_event_loop()

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20.0))

    bare = loop.run_until_complete(session())

    async def call(tag: str) -> None:
        async with bare.post(f"{base}/{tag}", data=b"x") as response:
            await response.read()
            check(response.status)

    closing.append(lambda: (loop.run_until_complete(bare.close()), loop.close()))
    return lambda tag: loop.run_until_complete(call(tag))


def check(status: int) -> None:
    assert status == 200


BARE = [with_urllib3, with_urllib3_pool, with_requests, with_botocore, with_httpx, with_aiohttp]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("make", BARE, ids=lambda make: make.__name__.removeprefix("with_"))
def test_bare_clients_survive_a_thaw(installed: None, clocks: Clocks, make: Callable[[str], Call], fate: Fate) -> None:
    with http_server() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        call = make(f"http://127.0.0.1:{proxy.port}")
        call("first")
        call("second")
        assert proxy.accepted == 1
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        began = time.perf_counter()

        call("thaw")

        assert time.perf_counter() - began < 10.0
        assert server.seen["thaw"] == 1
        proxy.close()


@pytest.mark.parametrize("make", BARE, ids=lambda make: make.__name__.removeprefix("with_"))
def test_without_install_they_do_not(clocks: Clocks, make: Callable[[str], Call]) -> None:
    """The proxy's `lost` is what breaks clients: without this, the tests above could prove nothing."""
    with http_server() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        call = make(f"http://127.0.0.1:{proxy.port}")
        call("first")
        proxy.freeze("lost")

        with pytest.raises(Exception):  # noqa: B017, PT011 - each client has its own name for it
            call("thaw")

        proxy.close()


def test_it_says_what_it_did(installed: None) -> None:
    told = str(install())

    assert told.startswith("thawsafe judges connections by the lambda configuration.")
    assert "urllib3, requests, botocore: connections of pools are judged when they are taken out" in told
    assert install().safe["urllib3"] == urllib3.__version__


def test_a_second_call_changes_nothing(installed: None) -> None:
    before = urllib3.HTTPConnectionPool._get_conn

    assert install() is install()
    assert urllib3.HTTPConnectionPool._get_conn is before


def test_it_can_be_undone() -> None:
    before = {name: vars(urllib3.HTTPConnectionPool)[name] for name in ("_get_conn", "_put_conn", "_get_timeout")}
    inherited = "connect" in vars(aiohttp.TCPConnector)
    install()
    uninstall()

    assert before == {name: vars(urllib3.HTTPConnectionPool)[name] for name in before}
    assert ("connect" in vars(aiohttp.TCPConnector)) == inherited


def test_nothing_is_judged_twice(installed: None) -> None:
    """An adapter beside `install` keeps its own guard, with its own configuration."""
    manager = safe_urllib3.PoolManager(lambda_())
    pool = manager.connection_from_url("http://127.0.0.1:1")

    assert pool._get_conn.thawsafe_replaces.__module__ == "urllib3.connectionpool"  # type: ignore[attr-defined]

    transport = safe_httpx.HTTPTransport(lambda_())
    connection = transport._pool.create_connection(httpcore.Origin(b"http", b"127.0.0.1", 1))  # type: ignore[attr-defined]

    assert connection.handle_request.__self__.guard is transport.guard
    assert connection.handle_request.__self__.send.__func__ is httpcore.HTTPConnection.handle_request


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has imported the adapter yet, which looks at its client when it is imported."""
    monkeypatch.delitem(sys.modules, "thawsafe.adapters.urllib3")


@pytest.mark.parametrize("version", ["1.26.20", "3.0.0", "99.1", "nonsense"])
def test_an_unknown_version_is_refused_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, unseen: None, version: str) -> None:
    before = vars(httpcore.ConnectionPool)["__init__"]
    monkeypatch.setattr(urllib3, "__version__", version)

    with pytest.raises(UnknownClient, match=f"thawsafe knows urllib3 from 2.0 to below 3, and this is {version}. Nothing was changed"):
        install()

    assert vars(httpcore.ConnectionPool)["__init__"] is before


def test_a_client_whose_parts_have_moved_is_refused(monkeypatch: pytest.MonkeyPatch, unseen: None) -> None:
    monkeypatch.delattr(urllib3.HTTPConnectionPool, "_put_conn")

    with pytest.raises(
        UnknownClient, match=rf"urllib3 {urllib3.__version__} has no HTTPConnectionPool\._put_conn, which thawsafe's adapter uses"
    ):
        install()


def test_without_strictness_the_others_are_made_safe(monkeypatch: pytest.MonkeyPatch, unseen: None) -> None:
    monkeypatch.setattr(urllib3, "__version__", "99.1")
    try:
        with pytest.warns(RuntimeWarning, match=r"thawsafe knows urllib3 from 2\.0 to below 3, and this is 99\.1"):
            installation = install(strict=False)

        assert "urllib3" in installation.refused
        assert "aiohttp" in installation.safe
        assert "urllib3: NOT SAFE." in str(installation)
    finally:
        uninstall()


def test_only_some_clients() -> None:
    try:
        installation = install(clients=["aiohttp"])

        assert list(installation.safe) == ["aiohttp"]
    finally:
        uninstall()


def test_a_client_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"install does not know requets\. It knows urllib3, "):
        install(clients=["requets"])


def in_a_new_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", **variables}
    )


def test_clients_that_are_imported_later_are_made_safe_then() -> None:
    """In each order that imports can have: the client first, our adapter first, a client that imports another one late."""
    done = in_a_new_process(
        "import thawsafe\n"
        "installation = thawsafe.install()\n"
        "assert not installation.safe, installation.safe\n"
        "import httpx\n"
        "assert set(installation.safe) == {'httpcore', 'httpx'}, installation\n"
        "import thawsafe.adapters.aiohttp\n"
        "import requests\n"
        "assert set(installation.safe) == {'httpcore', 'httpx', 'aiohttp', 'urllib3'}, installation\n"
        "assert not {'httpcore', 'httpx', 'aiohttp', 'urllib3'} & set(installation.waiting), installation\n"
    )

    assert done.returncode == 0, done.stderr


def test_a_late_client_that_is_not_known_is_left_alone_with_a_warning(tmp_path: Path) -> None:
    """The import is the function's: it must not fail because of us."""
    (tmp_path / "urllib3.py").write_text("__version__ = '99.1'\n")

    done = in_a_new_process("import thawsafe; thawsafe.install(); import urllib3; print(urllib3.__version__)", PYTHONPATH=str(tmp_path))

    assert done.stdout == "99.1\n", done.stderr
    assert "RuntimeWarning: thawsafe: urllib3 99.1 is not the one that thawsafe knows" in done.stderr
