"""The arrows of the house hold, and the checker sees it when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.arrows import ARROWS, PURE, Module, modules_of, violations

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {package: modules_of(REPOSITORY / package / "src") for package in ARROWS}
MODULES = [module for modules in PACKAGES.values() for module in modules]
KNOWN = frozenset(module.name for module in MODULES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_module_keeps_to_the_arrows_and_pure_rooms_stay_pure(module: Module) -> None:
    assert violations(module, KNOWN) == []


def test_both_packages_were_found() -> None:
    """A checker that looks in the wrong folder finds nothing wrong."""
    assert all(len(modules) > 0 for modules in PACKAGES.values())
    assert "frostline.core.events" in KNOWN


def test_the_table_has_no_circle() -> None:
    """The arrows point one way: no room reaches itself."""
    for package, arrows in ARROWS.items():
        for start in arrows:
            seen: set[str] = set()
            ahead = [start]
            while ahead:
                for target in arrows[ahead.pop().partition(".")[0]]:
                    assert target.partition(".")[0] != start, f"{package}: {start} reaches itself"
                    if target not in seen:
                        seen.add(target)
                        ahead.append(target)


def test_every_pure_room_is_a_room() -> None:
    for package, rooms in PURE.items():
        assert rooms <= ARROWS[package].keys()


WRONG = {
    "a room reads one above it": ("frostline.core.x", "from frostline.control import ring"),
    "relative": ("frostline.wire.x", "from ..sandbox.port import Sandbox"),
    "relative, the room itself": ("frostline.wire.x", "from .. import sandbox"),
    "siblings": ("frostline.project.x", "from ..story import writer"),
    "web and cli are siblings": ("frostline.web.x", "import frostline.cli.main"),
    "diagnosis reads the live system": ("frostline.diagnose.x", "from ..control import ring"),
    "for the type checker only": (
        "frostline.core.x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..control.ring import Ring",
    ),
    "inside a function": ("frostline.story.x", "def f():\n    from ..render import text\n    return text"),
    "by name": ("frostline.story.x", "import importlib\nimportlib.import_module('frostline.control.ring')"),
    "all rooms at once": ("frostline.control.x", "import frostline"),
    "testing reads more than the port": ("frostline.testing.x", "from ..sandbox import namespaces"),
    "testing reads another face": ("frostline.testing.x", "from ..cli.up import up"),
    "the package itself reads a room": ("frostline", "from .core import events"),
    "the other distribution": ("frostline.cli.x", "import thawsafe"),
    "the other distribution, from below": ("thawsafe._core.x", "from frostline.core.events import Event"),
    "the pure part reads an adapter": ("thawsafe._core.x", "from ..adapters import httpx"),
    "a room nobody planned": ("frostline.utils.x", "x = 1"),
    "os": ("frostline.core.x", "import os"),
    "os.path": ("frostline.core.x", "from os import path"),
    "asyncio": ("frostline.wire.x", "import asyncio"),
    "part of a package": ("frostline.wire.x", "from urllib.request import urlopen"),
    "clock": ("frostline.diagnose.x", "from time import monotonic"),
    "clock by datetime": ("frostline.render.x", "from datetime import UTC, datetime\nnow = datetime.now(UTC)"),
    "clock by datetime's module": ("frostline.render.x", "import datetime\nnow = datetime.datetime.now()"),
    "chance": ("frostline.core.x", "import random"),
    "own chance": ("frostline.core.x", "from random import Random\ndice = Random()"),
    "ids made here": ("frostline.core.x", "from uuid import uuid4"),
    "a file": ("frostline.render.x", "text = open('story').read()"),
    "a print": ("frostline.render.x", "print('done')"),
    "impure inside a function": ("thawsafe._core.x", "def f():\n    import socket\n    return socket"),
}


@pytest.mark.parametrize(("name", "source"), WRONG.values(), ids=WRONG.keys())
def test_the_checker_sees(name: str, source: str) -> None:
    module = Module(name, source, is_package="." not in name)
    assert len(violations(module, KNOWN)) == 1, violations(module, KNOWN)


RIGHT = {
    "the room itself": ("frostline.core.x", "from .events import Event\nfrom frostline.core.payload import Payload"),
    "along an arrow": (
        "frostline.control.x",
        "from ..core import events\nfrom ..sandbox.port import Sandbox\nfrom ..wire.http import Request",
    ),
    "along two arrows": ("frostline.cli.x", "from ..core.function import Function"),
    "a name of the package": ("frostline.wire.x", "from .. import __version__"),
    "testing reads the port": ("frostline.testing.x", "from ..sandbox.port import Sandbox\nfrom ..sandbox import port"),
    "what only computes": (
        "frostline.wire.x",
        "import json, struct, zlib\nfrom urllib.parse import unquote\nfrom datetime import UTC, datetime",
    ),
    "a generator that was handed in": (
        "frostline.core.x",
        "from random import Random\ndef f(random: Random) -> float:\n    return random.random()",
    ),
    "impure where it belongs": ("frostline.sandbox.x", "import os, socket, asyncio, time\nprint(time.time())"),
    "an adapter reads the core": ("thawsafe.adapters.x", "import time, httpx\nfrom .. import __version__\nfrom .._core import age"),
}


@pytest.mark.parametrize(("name", "source"), RIGHT.values(), ids=RIGHT.keys())
def test_the_checker_allows(name: str, source: str) -> None:
    assert violations(Module(name, source), KNOWN) == []


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    """In `frostline/core/__init__.py`, one dot is `frostline.core`; in `frostline/core/x.py` as well."""
    assert violations(Module("frostline.core", "from .events import Event", is_package=True), KNOWN) == []
    assert len(violations(Module("frostline.core", "from ..control import ring", is_package=True), KNOWN)) == 1
