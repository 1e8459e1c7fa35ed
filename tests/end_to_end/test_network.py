"""`--freeze network`: what functions meet on connections that are older than a freeze, whoever runs Frostline."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from frostline.core.events import ConnectionClosed, ConnectionLost, ConnectionOpened, Event, FirstWriteAnswered, NetworkRestored
from frostline.project import default_cache
from frostline.story.reader import Story

from .running import FUNCTIONS, RUNTIME, Server, run_cli, surroundings, up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

HOST = "host.frostline.internal"
CLIENT = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
TIMES = 30
USER = 61235
"""Nobody's, so that nothing on the machine belongs to it."""


class KeepAlive(BaseHTTPRequestHandler):
    """Answers POST and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Peer:
    """An HTTP server on this machine that closes its connections when it is told to."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        peer = self

        class Handler(KeepAlive):
            def setup(self) -> None:
                super().setup()
                peer.connections.append(self.connection)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://{HOST}:{self._server.server_port}/"

    def hang_up(self) -> None:
        """Close every connection in good order: with FIN."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's folder, with the libraries it uses in it."""
    folder = tmp_path_factory.mktemp("network") / "network"
    shutil.copytree(FUNCTIONS / "network", folder)
    for name in CLIENT:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"{name} is in requirements-dev"
        shutil.copytree(Path(spec.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def options(*fates: str) -> list[str]:
    chosen = [word for fate in fates for word in ("--fate", fate)]
    return ["--name", "f", "--handler", "app.handler", "--runtime", RUNTIME, "--timeout", "60s", "--freeze", "network", *chosen]


def events(story: Path) -> list[Event]:
    with Story.open(story) as opened:
        return [line.event for line in opened if line.event is not None]


def post_twice(server: Server, peer: Peer, **more: object) -> tuple[str, str, str, str]:
    """A POST, a freeze in which the server closes, a POST: their request ids and results."""
    first = server.invoke("f", {"do": "post", "url": peer.url, **more})
    server.until_state("f", "frozen")
    peer.hang_up()
    time.sleep(0.05)
    second = server.invoke("f", {"do": "post", "url": peer.url, **more})
    return first.request_id, str(first.payload), second.request_id, str(second.payload)


def test_a_post_on_a_connection_whose_end_was_lost_fails_and_the_story_names_both_requests(
    client: Path, peer: Peer, tmp_path: Path
) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options(), "--story", str(story)) as server:
        assert server.started["level"]["network_freezes"]
        found = [post_twice(server, peer) for _ in range(5)]
    assert [first for _, first, _, _ in found] == ["ok"] * 5
    for _, _, _, second in found:
        assert "RemoteDisconnected" in second
    there = events(story)
    opened = [event for event in there if isinstance(event, ConnectionOpened)]
    written = {event.connection: event for event in there if isinstance(event, FirstWriteAnswered)}
    assert [(event.request_id, event.host, event.fate) for event in opened] == [(first, HOST, "lost") for first, _, _, _ in found]
    assert [(written[event.connection].answer, written[event.connection].request_id) for event in opened] == [
        ("rst", second) for _, _, second, _ in found
    ]
    closed = {event.connection: event for event in there if isinstance(event, ConnectionClosed)}
    assert {(event.by, event.how, event.frozen, event.reached) for event in closed.values()} == {("peer", "fin", True, "never")}
    assert len([event for event in there if isinstance(event, ConnectionLost)]) == 5
    assert sum(event.fins for event in there if isinstance(event, NetworkRestored)) == 5


def test_the_same_post_succeeds_when_the_end_is_delivered(client: Path, peer: Peer, tmp_path: Path) -> None:
    with up(tmp_path / "home", client, *options("blackhole", f"{HOST}=fin_delivered")) as server:
        found = [post_twice(server, peer) for _ in range(5)]
    assert {(first, second) for _, first, _, second in found} == {("ok", "ok")}


def test_a_post_into_a_black_hole_waits_for_its_timeout(client: Path, peer: Peer, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(
        tmp_path / "home", client, *options(f"{HOST}:{peer.url.rpartition(':')[2].strip('/')}=blackhole"), "--story", str(story)
    ) as server:
        _, first, _, second = post_twice(server, peer, timeout=1.5)
    assert first == "ok"
    assert "ReadTimeout" in second or "Read timed out" in second
    assert [event.answer for event in events(story) if isinstance(event, FirstWriteAnswered)] == ["nothing"]


@pytest.mark.parametrize("wait", [0, 2])
def test_thirty_plain_sockets_of_thirty_are_reset(client: Path, tmp_path: Path, wait: int) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener, up(tmp_path / "home", client, *options()) as server:
        event = {"do": "connect", "host": HOST, "port": listener.getsockname()[1], "count": TIMES}
        assert server.invoke("f", event).payload == TIMES
        far = [listener.accept()[0] for _ in range(TIMES)]
        server.until_state("f", "frozen")
        for sock in far:
            sock.close()
        time.sleep(0.05)
        outcomes = server.invoke("f", {"do": "write", "wait": wait}).payload
    assert outcomes == ["ConnectionResetError"] * TIMES


def test_a_healthy_connection_survives_sixty_freezes(client: Path, peer: Peer, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options("survive"), "--story", str(story)) as server:
        for _ in range(60):
            assert server.invoke("f", {"do": "post", "url": peer.url}).payload == "ok"
            server.until_state("f", "frozen")
    there = events(story)
    assert len([event for event in there if isinstance(event, ConnectionOpened)]) == 1
    restored = [event for event in there if isinstance(event, NetworkRestored)]
    assert len(restored) >= 59
    assert all(event.drained and not event.fins + event.resets + event.lost for event in restored)


def test_a_killed_frostline_leaves_nothing_of_a_frozen_network(client: Path, peer: Peer, tmp_path: Path) -> None:
    server = Server(tmp_path / "home", client, *options())
    try:
        assert server.invoke("f", {"do": "post", "url": peer.url}).payload == "ok"
        server.until_state("f", "frozen")
        server.process.kill()
        server.process.wait()
        end = time.monotonic() + 10
        while server.left_behind() and time.monotonic() < end:
            time.sleep(0.02)
        assert [left for left in server.left_behind() if left.startswith("process")] == []
    finally:
        server.finish()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; an ordinary user runs these tests anyway")
def test_an_ordinary_users_function_meets_the_same(client: Path, peer: Peer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    surroundings(home)
    runtimes = home / "cache" / "frostline" / "runtimes"
    runtimes.unlink()
    shutil.copytree(default_cache() / "runtimes", runtimes, symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    for path in (tmp_path, *tmp_path.parents, client.parent):
        if path.owner() == "root" and path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(0o755)
    as_user = [sys.executable, str(Path(__file__).parents[1] / "sandbox" / "as_user.py"), str(USER)]
    with up(home, client, *options(), as_user=as_user, environment={"HOME": str(home)}) as server:
        _, first, _, second = post_twice(server, peer)
    assert first == "ok"
    assert "RemoteDisconnected" in second


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--freeze", "network", "--fate", "redis:6379=dead"],
            "'dead' is not a fate. There are survive, fin_delivered, lost and blackhole.",
        ),
        (["--freeze", "network", "--fate", "redis:http=lost"], "'http' in 'redis:http' is not a port."),
        (["--freeze", "network", "--fate", "=lost"], "'' is not a destination."),
        (["--fate", "lost"], "connections meet a fate with --freeze network only, and this is --freeze best."),
    ],
)
def test_a_fate_that_is_none_is_explained(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run_cli(tmp_path, "up", str(FUNCTIONS / "network"), *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.decode().split())
