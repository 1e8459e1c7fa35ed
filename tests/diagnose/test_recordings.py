"""Real recordings: a function in `frostline up`, a server that closes its connection while nothing runs, and what is found in the story."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from frostline.diagnose.diagnosis import findings
from frostline.diagnose.finding import Finding
from frostline.story.reader import Story
from frostline.story.timeline import timeline
from tests.end_to_end.running import RUNTIME, Server, up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

FUNCTION = """
import http.client

CONNECTION = []

def handler(event, context):
    if not CONNECTION:
        CONNECTION.append(http.client.HTTPConnection("host.frostline.internal", event["port"], timeout=5))
    CONNECTION[0].request("POST", "/", body=b"x" * 100)
    return CONNECTION[0].getresponse().read().decode()
"""


class Peer:
    """An HTTP server that keeps connections until it is told to close them."""

    def __init__(self) -> None:
        peer = self
        self._handlers: list[BaseHTTPRequestHandler] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                peer._handlers.append(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def hang_up(self) -> None:
        """Close every connection in good order: with FIN."""
        for handler in self._handlers:
            handler.connection.shutdown(2)
        self._handlers.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def story(tmp_path: Path) -> Path:
    return tmp_path / "story.jsonl"


@pytest.fixture
def server(tmp_path: Path, story: Path) -> Iterator[Server]:
    source = tmp_path / "function"
    source.mkdir()
    (source / "app.py").write_text(FUNCTION)
    options = ["--name", "f", "--handler", "app.handler", "--runtime", RUNTIME, "--timeout", "20s", "--freeze", "network"]
    with up(tmp_path / "home", source, *options, "--story", str(story)) as running:
        yield running


def diagnosed(story: Path) -> list[Finding]:
    with Story.open(story) as opened:
        return findings(timeline(opened.header, opened))


def test_a_connection_that_the_server_closed_while_frozen_is_the_one_finding(server: Server, peer: Peer, story: Path) -> None:
    first = server.invoke("f", {"port": peer.port})
    server.until_state("f", "frozen")
    peer.hang_up()
    second = server.invoke("f", {"port": peer.port})
    assert (first.error, second.error) == (None, "Unhandled")
    assert server.stop() == 0
    [found] = diagnosed(story)
    assert (found.rule, found.severity, found.requests) == ("stale-connection-reused", "failure", (first.request_id, second.request_id))
    assert found.destination == f"host.frostline.internal:{peer.port}" and "and got RST" in found.claim
    assert {cure.client for cure in found.cures} == {"http.client"}


def test_a_function_in_good_health_has_none(server: Server, peer: Peer, story: Path) -> None:
    for _ in range(30):
        assert server.invoke("f", {"port": peer.port}).payload == "ok"
        server.until_state("f", "frozen")
    assert server.stop() == 0
    assert diagnosed(story) == []
