"""The peers that frostline is measured against: where they come from, and the figures of those that come from npm.

RIE's binary ships in the wheel of `aws-sam-cli`; the wheel is installed alone, without what it depends on. @vercel/fun and
serverless-offline are installed by npm. All of it goes to `bench/.peers`, which git does not see.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from client import Client
from servers import Server, free_port, frostline, make_node_project, running

PEERS = Path(__file__).with_name(".peers")
SAM_CLI = "aws-sam-cli==1.170.0"
NPM_PACKAGES = {
    "@vercel/fun": "1.3.6",
    # The newest that run without an account: serverless 4 asks for a login, and serverless-offline 14 for serverless 4.
    "serverless": "3.40.0",
    "serverless-offline": "13.9.0",
}
SETTLE_S = 1.0


class PeerError(Exception):
    """A peer cannot be had; the message says what was tried."""


def rie_binary() -> Path:
    """RIE's binary for this machine, installed now if it is not there. Raises `PeerError`."""
    machine = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        raise PeerError(f"RIE has no binary for {sys.platform} on {platform.machine()}")
    target = PEERS / "sam-cli"
    binary = target / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    if not binary.exists():
        print(f"bench: installing {SAM_CLI} for RIE", file=sys.stderr)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
            str(target),
            SAM_CLI,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not binary.exists():
            raise PeerError(f"RIE could not be installed: {' '.join(command)}\n{done.stderr.strip()[-1500:]}")
    binary.chmod(0o755)
    return binary


def measure(folder: Path, seconds: float, starts: int) -> dict[str, Any]:
    """Warm and cold figures of the peers from npm, and of frostline, all on the same Node handler. Raises `PeerError`."""
    modules = _install_from_npm()
    project = make_node_project(folder / "node")
    return {
        "frostline (Node)": _over_http(lambda: frostline(project), "/2015-03-31/functions/function/invocations", seconds, starts),
        "@vercel/fun": _fun(modules, project, seconds, starts),
        "serverless-offline": _serverless_offline(modules, project, seconds, starts),
    }


def _install_from_npm() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise PeerError("--peers needs node and npm")
    folder = PEERS / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps({"private": True, "dependencies": NPM_PACKAGES}, indent=2)
    written = folder / "package.json"
    if not written.exists() or written.read_text() != manifest or not (folder / "node_modules" / "serverless-offline").is_dir():
        print("bench: installing @vercel/fun and serverless-offline", file=sys.stderr)
        written.write_text(manifest)
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            written.unlink()
            raise PeerError(f"npm could not install the peers:\n{done.stderr.strip()[-1500:]}")
    return folder / "node_modules"


def _over_http(start: Callable[[], AbstractContextManager[Server]], path: str, seconds: float, starts: int) -> dict[str, float]:
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(starts):
        with start() as server:
            time.sleep(SETTLE_S)
            client = Client(server.port, path=path)
            cold.append(client.invoke())
            client.back_to_back(seconds / 10)
            warm += client.back_to_back(seconds / starts)
            client.close()
    return _figures(warm, cold)


def _serverless_offline(modules: Path, project: Path, seconds: float, starts: int) -> dict[str, float]:
    def start() -> AbstractContextManager[Server]:
        port = free_port()
        ports = ["--lambdaPort", str(port), "--httpPort", str(free_port()), "--host", "127.0.0.1"]
        env = {
            **os.environ,
            "SLS_TELEMETRY_DISABLED": "1",
            "SLS_NOTIFICATIONS_MODE": "off",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        }
        (project / "node_modules").unlink(missing_ok=True)
        (project / "node_modules").symlink_to(modules)
        return running([str(modules / ".bin" / "serverless"), "offline", "start", *ports], port, env, project)

    return _over_http(start, "/2015-03-31/functions/bench-dev-function/invocations", seconds, starts)


def _fun(modules: Path, project: Path, seconds: float, starts: int) -> dict[str, float]:
    """@vercel/fun is a library: it is called in its own process, which spares it a client's connection."""
    script = Path(__file__).with_name("fun.mjs")
    command = ["node", str(script), str(modules / "@vercel" / "fun"), str(project / "code"), str(seconds), str(starts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerError(f"@vercel/fun could not be measured:\n{done.stderr.strip()[-1500:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return _figures(told["warm"], told["cold"])


def _figures(warm: list[float], cold: list[float]) -> dict[str, float]:
    return {
        "per_second": round(len(warm) / sum(warm), 1),
        "median_ms": round(statistics.median(warm) * 1000, 3),
        "cold_ms": round(statistics.median(cold) * 1000, 3),
    }
