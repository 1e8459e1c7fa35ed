"""Projects as users have them, in a folder of the test's, and pytest runs in them as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 300.0
"""Long, for a machine that is busy with other things; nothing here takes so long by itself."""

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
"""The runtime whose interpreter is surely here: the one that runs the tests."""

UPSTREAM = "inventory.example.com=http1,idle=60"

TEMPLATE = f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: orders
      Handler: app.handler
      Runtime: {RUNTIME}
      Timeout: 5
  Healthy:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: healthy
      Handler: app.handler
      Runtime: {RUNTIME}
      Timeout: 5
"""

STALE = """
import http.client, os, sys, time

server = http.client.HTTPConnection("inventory.example.com", timeout=2)


def handler(event, context):
    print("event", event)
    match event:
        case {"exit": status}:
            sys.stdout.flush()
            os._exit(status)
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"answer": answer}:
            return answer
    server.request("GET", "/items")
    with server.getresponse() as response:
        return response.status
"""
"""Keeps its connection, and never looks whether it is still one."""

HEALTHY = """
import http.client

server = http.client.HTTPConnection("inventory.example.com", timeout=2)


def handler(event, context):
    try:
        ask()
    except OSError:
        server.close()
        ask()


def ask():
    server.request("GET", "/items")
    with server.getresponse() as response:
        response.read()
"""


def project(folder: Path, **files: str) -> Path:
    """A project with two functions, and more files in it: `tests__test_orders` is `tests/test_orders.py`."""
    made = {"template.yaml": TEMPLATE, "orders/app.py": STALE, "healthy/app.py": HEALTHY}
    made |= {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def command(*arguments: str) -> list[str]:
    """A pytest run with nothing but what a user has, and with warnings as errors."""
    settings = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function", "-W", "error")
    return [sys.executable, "-m", "pytest", "--rootdir=.", "-c", os.devnull, *settings, *arguments]


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run in this folder."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command("--basetemp", str(folder / "tmp"), *arguments),
        cwd=folder,
        env={**surroundings, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
