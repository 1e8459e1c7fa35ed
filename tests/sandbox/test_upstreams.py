"""Upstreams and the sandbox: what environments are given to trust them, and where they cannot be had."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frostline.core.upstream import parse
from frostline.sandbox.choose import open_sandbox
from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.sandbox.port import SandboxError
from frostline.sandbox.router.upstreams import Upstreams
from frostline.sandbox.trust import VARIABLES
from frostline.upstreams import PROGRAM

from .driver import Driver, left_behind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

SHOW = "grep -c BEGIN /etc/frostline-ca.pem; grep -c BEGIN $SSL_CERT_FILE; echo $NODE_EXTRA_CA_CERTS $REQUESTS_CA_BUNDLE"


def upstreams(*texts: str) -> Upstreams:
    return Upstreams(servers=parse(texts), program=(sys.executable, PROGRAM))


@pytest.fixture
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    made = Driver()
    made.sandbox = NamespaceSandbox(made.report, made.on_output, upstreams=upstreams(request.param))
    made.level = await made.sandbox.open()
    assert made.sandbox._run is not None
    run, directories = str(made.sandbox._run.path), [home.path for home in made.sandbox._plan.homes]
    yield made
    await made.sandbox.close()
    assert left_behind(run, directories) == []


@pytest.mark.parametrize("driver", ["api.local=http1,tls"], indirect=True)
async def test_processes_are_told_whom_to_trust_and_their_own_word_is_stronger(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, SHOW, env={"REQUESTS_CA_BUNDLE": "mine"})
    await driver.until(environment, "mine\n")
    ours, all_, variables = driver.text(environment).splitlines()
    assert ours == "1"
    assert int(all_) >= 1
    assert variables == f"{VARIABLES['NODE_EXTRA_CA_CERTS']} mine"


@pytest.mark.parametrize("driver", ["api.local=http1"], indirect=True)
async def test_without_tls_nothing_is_said(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "ls /etc | grep -c frostline-ca; echo =$SSL_CERT_FILE=")
    await driver.until(environment, "==\n")
    assert driver.text(environment).splitlines() == ["0", "=="]


async def test_without_a_lab_there_is_no_sandbox_either() -> None:
    sandbox = NamespaceSandbox(lambda _: None, lambda *_: None, egress=False, upstreams=upstreams("a=http1"))
    with pytest.raises(SandboxError, match="there are no upstreams, which are hosts of the environments' network: they were not to"):
        await sandbox.open()


async def test_processes_without_namespaces_have_no_lab() -> None:
    with pytest.raises(SandboxError, match="only namespaces, a feature of Linux"):
        await open_sandbox(lambda _: None, lambda *_: None, cage="plain", upstreams=upstreams("a=http1"))
