"""Answers out of files."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from frostline.core.upstream import parse
from frostline.testing.upstreams import LocalUpstream
from frostline.upstreams import Unservable, servable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answers = tmp_path / "answers"
    (answers / "orders" / "9").mkdir(parents=True)
    (answers / "orders.json").write_text('[{"id": 7}]')
    (answers / "orders" / "7.json").write_text('{"id": 7}')
    (answers / "orders" / "9" / "index.json").write_text('{"id": 9}')
    (answers / "page.html").write_text("<p>")
    (answers / "nothing").write_bytes(b"")
    (tmp_path / "secret").write_text("not an answer")
    return answers


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_a_folder_answers_by_path(folder: Path, protocol: str) -> None:
    with (
        LocalUpstream(f"{protocol},answers={folder}") as server,
        httpx.Client(base_url=server.url, http1=protocol == "http1", http2=protocol == "http2") as client,
    ):
        assert client.get("/orders?status=open").json() == [{"id": 7}]
        assert client.post("/orders/7", content=b"{}").json() == {"id": 7}
        assert client.get("/orders/9/").json() == {"id": 9}
        assert client.get("/page.html").headers["content-type"] == "text/html"
        assert client.get("/nothing").content == b""
        assert client.get("/orders/7?status=503").status_code == 503
        (folder / "orders" / "7.json").write_text('{"id": "edited"}')
        assert client.get("/orders/7").json() == {"id": "edited"}
        for other in ("/", "/customers", "/%2e%2e/secret", "/orders/..%2f..%2f..%2fsecret", "/a%00b"):
            assert client.get(other).json()["upstream"] == "upstream.test:1"
        assert [asked.seen for asked in server.requests] == [1] * 12


def test_a_file_answers_everything(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text("{}")
    with LocalUpstream(f"http1,answers={tmp_path / 'answer'}") as server:
        answer = httpx.get(f"{server.url}/any/path")
        assert (answer.text, answer.headers["content-type"]) == ("{}", "application/json")
        (tmp_path / "answer").unlink()
        assert httpx.get(server.url).status_code == 500
        assert "could not be read" in httpx.get(server.url).json()["error"]


def test_answers_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = parse(["api.local=http1,answers=made"])
    with pytest.raises(
        Unservable, match=r"^api\.local:80 is to answer with made, and there is no .*/made\. Give a file, or a folder of files\.$"
    ):
        servable(asked)
    (tmp_path / "made").mkdir()
    assert servable(asked)[0].answers == str(tmp_path / "made")


@pytest.mark.parametrize("text", ["a=echo,answers=x", "a=grpc,answers=x", "a=http1,answers=", "a=http1,answers"])
def test_where_there_can_be_no_answers(text: str) -> None:
    with pytest.raises(ValueError, match="answers"):
        parse([text])
