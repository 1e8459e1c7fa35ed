"""Packages that a function asks for and does not bring along."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline.project import Source, load
from frostline.project.missing import missing


def test_requirements_that_are_not_installed_are_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# ours\n-r more.txt\nRequests[socks]>=2\nboto3\npsycopg_pool==3.2\nhttpx\nold; python_version < '3.8'\nx @ https://example.com/x.whl\n"
    )
    (tmp_path / "httpx-0.28.1.dist-info").mkdir()
    assert missing("Orders", "python3.12", tmp_path) == (
        f"Orders does not bring along what {tmp_path}/requirements.txt lists: psycopg-pool, requests. "
        "Run `sam build`, or `pip install --requirement requirements.txt --target .` in that folder."
    )
    (tmp_path / "requests-2.32.dist-info").mkdir()
    (tmp_path / "psycopg_pool").mkdir()  # slimmed
    assert missing("Orders", "python3.12", tmp_path) is None


def test_node_modules_that_are_not_installed_are_named(tmp_path: Path) -> None:
    names = ["@grpc/grpc-js", "axios", "ioredis", "pg", "undici", "@aws-sdk/client-s3"]
    (tmp_path / "package.json").write_text(f'{{"dependencies": {{{", ".join(f"{name!r}: 1" for name in names)}}}}}'.replace("'", '"'))
    (tmp_path / "node_modules" / "@grpc" / "grpc-js").mkdir(parents=True)
    said = missing("Quotes", "nodejs22.x", tmp_path)
    assert said is not None
    assert "lists: axios, ioredis, pg and 1 more. " in said
    assert "`npm install`" in said


@pytest.mark.parametrize("content", ["", "[]", "{", '{"dependencies": null}'])
def test_what_lists_nothing_lacks_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "package.json").write_text(content)
    assert missing("Quotes", "nodejs22.x", tmp_path) is None
    assert missing("Orders", "python3.12", tmp_path) is None
    assert missing("Other", "provided.al2023", tmp_path) is None


def test_a_project_says_so_and_knows_what_its_code_imports(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("requests\n")
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    (tmp_path / "bootstrap").chmod(0o755)
    (tmp_path / "app.py").write_text("import requests\n\n\ndef handler(event, context): ...\n")
    project = load(Source(path=tmp_path, handler="app.handler", runtime="python3.11"))
    (deployment,) = project.functions
    assert "does not bring along" in deployment.launch.notes[-1]
    assert project.notes[-1] == deployment.launch.notes[-1]
    assert deployment.function.packages == ("requests",)
