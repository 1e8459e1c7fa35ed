"""What a function's own code imports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from frostline.project.packages import MOST_FILES, packages
from frostline.testing.builders import function


def found(folder: Path, runtime: str = "python3.12", **files: str) -> tuple[str, ...]:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return packages(function(runtime=runtime, handler="app.handler"), folder)


def test_what_python_code_imports_and_not_its_own_library(tmp_path: Path) -> None:
    code = (
        "import json, requests as r, boto3.session\nfrom redis.asyncio import Redis\nimport http.client\nfrom . import x\n# import httpx\n"
    )
    assert found(tmp_path, app_DOT_py=code, lib__deep_DOT_py="    import psycopg_pool\n") == (
        "boto3",
        "http.client",
        "psycopg_pool",
        "redis",
        "requests",
    )


def test_installed_packages_are_not_the_functions_own_code(tmp_path: Path) -> None:
    record = tmp_path / "requests-1.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("requests/__init__.py,sha256=x,10\nsix.py,,\n")
    assert found(tmp_path, app_DOT_py="import requests\n", requests__api_DOT_py="import urllib3\n", six_DOT_py="import httpx\n") == (
        "requests",
    )


def test_what_node_code_requires_and_imports(tmp_path: Path) -> None:
    code = "const a = require('axios'), g = require(\"@grpc/grpc-js/build\");\nimport pg from 'pg';\nimport './own.js';\nawait import('ioredis');\n"
    own = "const r = await fetch('https://api.example.com');\nclient.fetch('no');\n"
    node = found(tmp_path, "nodejs20.x", app_DOT_js=code, own_DOT_mjs=own, node_modules__axios__index_DOT_js="require('ws')")
    assert node == ("@grpc/grpc-js", "axios", "fetch", "ioredis", "pg")


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not on PATH")
def test_what_a_go_program_was_built_from(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/hello\n\ngo 1.20\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    subprocess.run(["go", "build", "-o", "bootstrap", "."], cwd=tmp_path, check=True)
    assert packages(function(runtime="provided.al2023"), tmp_path) == ("example.com/hello", "go")


def test_a_program_that_is_none_of_these(tmp_path: Path) -> None:
    (tmp_path / "bootstrap").write_text("#!/bin/sh\nexit\n")
    assert packages(function(runtime="provided.al2023"), tmp_path) == ()
    assert packages(function(runtime="java21"), tmp_path / "missing") == ()


def test_a_folder_of_very_many_files_is_looked_into_for_a_while(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 5):
        (tmp_path / f"m{number:04}.py").write_text(f"import package{number:04}\n")
    names = packages(function(runtime="python3.12"), tmp_path)
    assert "package0000" in names
    assert f"package{MOST_FILES + 1:04}" not in names


def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "binary.py").write_bytes(b"import requests\n\xff\xfe\x00")
    assert packages(function(runtime="python3.12"), tmp_path) == ("requests",)
