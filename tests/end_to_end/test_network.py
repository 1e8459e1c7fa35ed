"""The network freezes with its environment: what functions meet on connections that are older, whoever runs Frostline."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from frostline.core.events import (
    ConditionsChanged,
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTraffic,
    Event,
    FirstWriteAnswered,
    NetworkRestored,
    PathExpired,
)
from frostline.project import default_cache
from frostline.story.reader import Story
from frostline.story.timeline import Timeline, timeline

from .running import FUNCTIONS, LIMIT_S, RUNTIME, Server, surroundings, up

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
        self.port = self._server.server_port
        self.url = f"http://{HOST}:{self.port}/"

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
    return ["--name", "f", "--handler", "app.handler", "--runtime", RUNTIME, "--timeout", "60s", *chosen]


def events(story: Path) -> list[Event]:
    with Story.open(story) as opened:
        return [line.event for line in opened if line.event is not None]


def timeline_of(story: Path) -> Timeline:
    with Story.open(story) as opened:
        return timeline(opened.header, opened)


def post_twice(server: Server, peer: Peer, *, delivered: bool = False, timeout: float = LIMIT_S) -> tuple[str, str, str, str]:
    """A POST, a freeze in which the server closes, a POST: their request ids and results. `delivered`: the environment's kernel is told."""
    first = server.invoke("f", {"do": "post", "url": peer.url, "timeout": LIMIT_S})
    server.until_state("f", "frozen")
    peer.hang_up()
    server.until_open(peer.port, 0 if delivered else 1)
    second = server.invoke("f", {"do": "post", "url": peer.url, "timeout": timeout})
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
    bursts = [event for event in there if isinstance(event, ConnectionTraffic)]
    assert {(event.connection, event.request_id) for event in bursts if event.sent} == {
        (connection.connection, first) for connection, (first, _, _, _) in zip(opened, found, strict=True)
    }
    lives = timeline_of(story).environments.values()
    busy = {phase.request_id: phase for life in lives for phase in life.phases if phase.state == "busy"}
    for event in bursts:
        phase = busy[str(event.request_id)]
        assert phase.begin <= event.at <= phase.end, "all times are by one clock"


def test_the_same_post_succeeds_when_the_end_is_delivered(client: Path, peer: Peer, tmp_path: Path) -> None:
    with up(tmp_path / "home", client, *options("blackhole", f"{HOST}=fin_delivered")) as server:
        found = [post_twice(server, peer, delivered=True) for _ in range(5)]
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
        server.until_open(listener.getsockname()[1], TIMES)
        outcomes = server.invoke("f", {"do": "write", "wait": wait}).payload
    assert outcomes == ["ConnectionResetError"] * TIMES


def test_a_healthy_connection_survives_two_hundred_freezes(client: Path, peer: Peer, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options("survive"), "--freeze-delay", "0", "--story", str(story)) as server:
        for _ in range(200):
            assert server.invoke("f", {"do": "post", "url": peer.url}).payload == "ok"
            server.until_state("f", "frozen")
    there = events(story)
    assert len([event for event in there if isinstance(event, ConnectionOpened)]) == 1
    restored = [event for event in there if isinstance(event, NetworkRestored)]
    assert len(restored) >= 199
    assert all(event.drained and not event.fins + event.resets + event.lost for event in restored)
    assert {event.answer for event in there if isinstance(event, FirstWriteAnswered)} == {"data"}


def test_with_processes_alone_frozen_the_kernel_is_told_and_nothing_fails(client: Path, peer: Peer, tmp_path: Path) -> None:
    with up(tmp_path / "home", client, *options(), "--freeze", "processes") as server:
        assert (server.started["level"]["network_freezes"], server.started["level"]["freezer"] != "off") == (False, True)
        found = [post_twice(server, peer, delivered=True) for _ in range(5)]
    assert {(first, second) for _, first, _, second in found} == {("ok", "ok")}


def test_a_path_that_a_middlebox_forgot_in_a_freeze_fails_the_next_post(client: Path, peer: Peer, tmp_path: Path) -> None:
    """And nobody closed anything: the server holds the connection still."""
    story = tmp_path / "story"
    with up(
        tmp_path / "home", client, *options("survive"), "--middlebox", "localhost=idle=1500ms,then=rst", "--story", str(story)
    ) as server:
        first = server.invoke("f", {"do": "post", "url": peer.url})
        server.until_state("f", "frozen")
        time.sleep(1.7)
        second = server.invoke("f", {"do": "post", "url": peer.url})
    assert first.payload == "ok"
    assert "RemoteDisconnected" in str(second.payload) or "Connection reset" in str(second.payload)
    there = events(story)
    (expired,) = [event for event in there if isinstance(event, PathExpired)]
    (answered,) = [event for event in there if isinstance(event, FirstWriteAnswered)]
    (closed,) = [event for event in there if isinstance(event, ConnectionClosed)]
    assert (expired.middlebox, expired.idle_s, expired.then) == ("idle=1.5,then=rst", 1.5, "rst")
    assert (answered.answer, answered.request_id) == ("rst", second.request_id)
    assert answered.idle_s is not None and answered.idle_s > 1.5
    assert (closed.by, closed.how, closed.request_id) == ("middlebox", "rst", second.request_id)


def test_conditions_are_changed_while_functions_run(client: Path, peer: Peer, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options("survive"), "--story", str(story)) as server:
        assert post_twice(server, peer)[3] == "ok"
        status, _, body = server.http("PUT", "/_frostline/network", json.dumps({"fates": [f"{HOST}=lost"]}).encode())
        assert (status, json.loads(body)["fates"]) == (200, ["lost", f"{HOST}=lost"])
        assert "RemoteDisconnected" in post_twice(server, peer)[3]
        (environment,) = server.environments("f")
        server.http("PUT", f"/_frostline/network?environment={environment['environment']}", b'{"fates": ["fin_delivered"]}')
        assert post_twice(server, peer, delivered=True)[3] == "ok"
    changed = [event for event in events(story) if isinstance(event, ConditionsChanged)]
    assert [event.environment for event in changed] == ["", environment["environment"]]


def test_who_dials_what_it_may_not_is_told_why(client: Path, tmp_path: Path) -> None:
    story = tmp_path / "story"
    with up(tmp_path / "home", client, *options(), "--story", str(story)) as server:
        answer = server.invoke("f", {"do": "post", "url": "http://169.254.169.254/latest/meta-data"})
        assert "Connection" in str(answer.payload)
        server.until(lambda: any("169.254.169.254" in line for line in server.errors), "note")
    (note,) = [line for line in server.errors if "169.254.169.254" in line]
    assert note.startswith("frostline: f: a connection to 169.254.169.254:80 was refused: 169.254.169.254 is link-local")
    (refused,) = [event for event in events(story) if isinstance(event, ConnectionRefused)]
    assert (refused.request_id, "link-local" in refused.reason) == (answer.request_id, True)


def test_a_killed_frostline_leaves_nothing_of_a_frozen_network(client: Path, peer: Peer, tmp_path: Path) -> None:
    server = Server(tmp_path / "home", client, *options())
    try:
        assert server.invoke("f", {"do": "post", "url": peer.url}).payload == "ok"
        server.until_state("f", "frozen")
        server.process.kill()
        server.process.wait()
        server.until_nothing_is_left("process")
    finally:
        server.finish()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; an ordinary user runs these tests anyway")
def test_an_ordinary_users_function_meets_the_same(client: Path, peer: Peer, anybodys: Path) -> None:
    home = anybodys / "home"
    surroundings(home)
    client = shutil.copytree(client, anybodys / "f")
    runtimes = home / "cache" / "frostline" / "runtimes"
    runtimes.unlink()
    shutil.copytree(default_cache() / "runtimes", runtimes, symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    as_user = [sys.executable, str(Path(__file__).parents[1] / "sandbox" / "as_user.py"), str(USER)]
    with up(home, client, *options(), as_user=as_user, environment={"HOME": str(home)}) as server:
        _, first, _, second = post_twice(server, peer)
    assert first == "ok"
    assert "RemoteDisconnected" in second
