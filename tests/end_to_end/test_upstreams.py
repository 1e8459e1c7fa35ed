"""`--upstream`: functions talk to servers that behave as servers do, whoever runs Frostline."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from frostline.core.events import ConnectionClosed, ConnectionOpened, Event, FirstWriteAnswered
from frostline.project import default_cache
from frostline.story.reader import Story

from .running import FUNCTIONS, RUNTIME, Server, run_cli, surroundings, up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

HOST = "api.example.com"
IDLE_S = 1.5
TLS = f"{HOST}=http1,tls,idle={IDLE_S}"
USER = 61236
"""Nobody's, so that nothing on the machine belongs to it."""


def with_packages(folder: Path, *names: str) -> Path:
    """The function's folder, with the libraries it uses in it."""
    shutil.copytree(FUNCTIONS / "network", folder)
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"{name} is in requirements-dev"
        if spec.submodule_search_locations is None:
            shutil.copy(spec.origin, folder)
        else:
            shutil.copytree(Path(spec.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_packages(tmp_path_factory.mktemp("upstreams") / "f", "requests", "urllib3", "idna", "certifi", "charset_normalizer")


def options(*upstreams: str, handler: str = "app.handler", freeze: str = "network") -> list[str]:
    chosen = [word for upstream in upstreams for word in ("--upstream", upstream)]
    return ["--name", "f", "--handler", handler, "--runtime", RUNTIME, "--timeout", "60s", "--freeze", freeze, *chosen]


def post_over_a_freeze(server: Server, *, delivered: bool = False) -> tuple[str, str]:
    """A POST, a freeze that is longer than the server waits, a POST. `delivered`: the environment's kernel is told of the end."""
    event = {"do": "post", "url": f"https://{HOST}/orders"}
    first = str(server.invoke("f", event).payload)
    server.until_state("f", "frozen")
    server.until_open(443, 0 if delivered else 1, machine=False)
    return first, str(server.invoke("f", event).payload)


def events(story: Path) -> list[Event]:
    with Story.open(story) as opened:
        return [line.event for line in opened if line.event is not None]


def test_a_server_that_closes_while_frozen_makes_the_next_request_fail(client: Path, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options(TLS), "--story", str(story)) as server:
        first, second = post_over_a_freeze(server)
    assert f'"upstream":"{HOST}:443"' in first, "the certificate is trusted, and nothing was configured in the function"
    assert "SSLEOFError" in second, "what Python says of a reset in TLS"
    there = events(story)
    (opened,) = (event for event in there if isinstance(event, ConnectionOpened))
    assert (opened.host, opened.port) == (HOST, 443)
    (closed,) = (event for event in there if isinstance(event, ConnectionClosed))
    assert (closed.by, closed.how, closed.frozen, closed.reached) == ("peer", "fin", True, "never")
    assert [event.answer for event in there if isinstance(event, FirstWriteAnswered)] == ["rst"]


def test_with_processes_alone_frozen_the_same_server_does_no_harm(client: Path, tmp_path: Path) -> None:
    with up(tmp_path / "home", client, *options(TLS, freeze="processes")) as server:
        for answer in post_over_a_freeze(server, delivered=True):
            assert f'"upstream":"{HOST}:443"' in answer


def test_a_grpc_client_finds_the_cache_by_its_name(tmp_path: Path) -> None:
    folder = with_packages(tmp_path / "f", "grpc", "typing_extensions")
    with up(tmp_path / "home", folder, *options(f"cache.local:8080=grpc,idle={IDLE_S}", handler="cache.handler")) as server:
        event = {"target": "cache.local:8080", "key": "a"}
        assert server.invoke("f", event).payload == "", "an empty message: nothing found"
        server.until_state("f", "frozen")
        server.until_open(8080, 1, machine=False)
        assert server.invoke("f", event).payload in ("UNAVAILABLE", "CANCELLED")
        assert server.invoke("f", event).payload == ""


def test_a_killed_frostline_leaves_no_servers(client: Path, tmp_path: Path) -> None:
    server = Server(tmp_path / "home", client, *options(TLS, "cache.local:8080=grpc"))
    try:
        assert f'"upstream":"{HOST}:443"' in str(server.invoke("f", {"do": "post", "url": f"https://{HOST}/"}).payload)
        server.process.kill()
        server.process.wait()
        server.until_nothing_is_left("process")
    finally:
        server.finish()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; an ordinary user runs these tests anyway")
def test_an_ordinary_users_function_meets_the_same(client: Path, anybodys: Path) -> None:
    home = anybodys / "home"
    surroundings(home)
    client = shutil.copytree(client, anybodys / "f")
    runtimes = home / "cache" / "frostline" / "runtimes"
    runtimes.unlink()
    shutil.copytree(default_cache() / "runtimes", runtimes, symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    as_user = [sys.executable, str(Path(__file__).parents[1] / "sandbox" / "as_user.py"), str(USER)]
    with up(home, client, *options(TLS), as_user=as_user, environment={"HOME": str(home)}) as server:
        first, second = post_over_a_freeze(server)
    assert f'"upstream":"{HOST}:443"' in first
    assert "SSLEOFError" in second, "what Python says of a reset in TLS"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--upstream", "a=http3"], "'http3' is not a protocol of an upstream."),
        (
            ["--upstream", "a:80=http1", "--upstream", "a=http1,tls", "--upstream", "a=http1,idle=5"],
            "a:80 is there twice, with different settings.",
        ),
    ],
)
def test_an_upstream_that_is_none_is_explained(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run_cli(tmp_path, "up", str(FUNCTIONS / "network"), *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.decode().split())
