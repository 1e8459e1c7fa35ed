"""How long a verdict takes, and whether time that was made to pass says what time that was waited for says.

    .venv/bin/python bench/doctor.py                 the full set of trials, for functions with two connections (wanted: at most 60 s on 2 cores)
    .venv/bin/python bench/doctor.py --real          gaps of 1, 6 and 59 s twice, moved over and waited for; cells that disagree are named (some 10 minutes)
    .venv/bin/python bench/doctor.py --json          one object

Each function keeps a connection to two stand-ins whose idle limits differ, so that trials cross them. One uses `requests`, one Node's `http.Agent`, one Go's
`net/http`; a language that is not here is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from frostline.core.upstream import parse
from frostline.project import Deployment, Source, load
from frostline.project.runtimes import nodejs
from frostline.trials.doctor.checkup import Checkup, Question
from frostline.trials.doctor.verdict import Verdict

STAND_INS = parse(["orders.local:8080=http1,idle=40", "stock.local:8080=http1,idle=20"])

REAL_GAPS_S = (1.0, 6.0, 59.0)
TRIALS = 4
"""Of each cell, where warped and real are compared."""

PYTHON = """
import requests
SESSION = requests.Session()
def handler(event, context):
    return [SESSION.post(f"http://{host}.local:8080/", b"{}", timeout=2).status_code for host in ("orders", "stock")]
"""

NODE = """
const http = require('http');
const agent = new http.Agent({ keepAlive: true });
const post = (host) => new Promise((resolve, reject) => {
  const request = http.request(`http://${host}.local:8080/`, { method: 'POST', agent, timeout: 2000 }, (answer) => {
    answer.resume();
    answer.on('end', () => resolve(answer.statusCode));
  });
  request.on('timeout', () => request.destroy(new Error('timed out')));
  request.on('error', reject);
  request.end('{}');
});
exports.handler = async () => [await post('orders'), await post('stock')];
"""

GO = """package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConns: 10}}
var runtime = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"

func post(host string) error {
	answer, err := client.Post("http://"+host+".local:8080/", "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func main() {
	for {
		next, err := http.Get(runtime + "next")
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, next.Body)
		next.Body.Close()
		id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		what, body := "response", `"ok"`
		for _, host := range []string{"orders", "stock"} {
			if err := post(host); err != nil {
				what, body = "error", fmt.Sprintf(`{"errorType": "Error", "errorMessage": %q}`, err.Error())
				break
			}
		}
		said, err := http.Post(runtime+id+"/"+what, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			panic(err)
		}
		said.Body.Close()
	}
}
"""


def python(folder: Path) -> Source:
    """With the libraries of this environment."""
    (folder / "app.py").write_text(PYTHON)
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None, f"{name} is in requirements-dev"
        shutil.copytree(Path(spec.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Source(path=folder, handler="app.handler", runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}", name="requests")


def node(folder: Path) -> Source | None:
    """With whatever Node is on PATH."""
    majors = nodejs.majors()
    if not majors:
        return None
    (folder / "index.js").write_text(NODE)
    return Source(path=folder, handler="index.handler", runtime=f"nodejs{majors[0]}.x", name="node-http-agent")


def go(folder: Path) -> Source | None:
    """Without a module of anybody's, so that nothing is fetched."""
    if shutil.which("go") is None:
        return None
    (folder / "main.go").write_text(GO)
    (folder / "go.mod").write_text("module bench\n\ngo 1.20\n")
    subprocess.run(["go", "build", "-o", "bootstrap", "."], cwd=folder, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return Source(path=folder, handler="bootstrap", runtime="provided.al2023", name="go-net-http")


def checkup(deployment: Deployment, **question: Any) -> Verdict:
    """One function's verdict."""
    with tempfile.TemporaryDirectory(prefix="frostline-bench-") as folder:
        made = Checkup(Question(deployment=deployment, upstreams=STAND_INS, **question), Path(folder))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(made.carry_out())
        said = made.verdict()
        assert said is not None
        return said


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def speed(deployment: Deployment) -> dict[str, Any]:
    """The full set."""
    said = checkup(deployment)
    trials = sum(one.trials for one in said.outcomes)
    return {
        "function": said.function,
        "status": said.status,
        "took_s": round(said.took_s, 1),
        "trials": trials,
        "cells": len(said.outcomes),
    }


def agreement(deployment: Deployment) -> dict[str, Any]:
    """The same gaps twice. A cell whose trials all fail in one way, and not once in the other, disagrees; where some fail, clients race with themselves."""
    warped, real = (checkup(deployment, gaps=REAL_GAPS_S, real=waits, trials=TRIALS) for waits in (False, True))
    found = {one.cell.name: one.failed for one in warped.outcomes}
    waited = {one.cell.name: one.failed for one in real.outcomes}
    both = {name: {"warped": found.get(name), "real": failed} for name, failed in waited.items()}
    return {
        "function": warped.function,
        "cells": len(both),
        "trials": TRIALS,
        "same": sum(one["warped"] == one["real"] for one in both.values()),
        "differ": {name: one for name, one in both.items() if {one["warped"], one["real"]} == {0, TRIALS} or None in one.values()},
        "sometimes": {
            name: one for name, one in both.items() if one["warped"] != one["real"] and {one["warped"], one["real"]} != {0, TRIALS}
        },
        "warped_s": round(warped.took_s, 1),
        "real_s": round(real.took_s, 1),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="compare with waiting")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="frostline-bench-") as home:
        for make in (python, node, go):
            folder = Path(home) / make.__name__
            folder.mkdir()
            source = make(folder)
            if source is None:
                continue
            Path(home).chmod(0o755)  # functions run as another user
            (deployment,) = load(source).functions
            found.append(agreement(deployment) if chosen.real else speed(deployment))
            if not chosen.json:
                print(", ".join(f"{key} {value}" for key, value in found[-1].items()), flush=True)
    if chosen.json:
        print(json.dumps({"bench": "doctor", "real": chosen.real, "functions": found}, indent=2))


if __name__ == "__main__":
    main()
