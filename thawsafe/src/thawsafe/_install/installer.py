"""`install`: makes the clients of a function safe without touching its code, and says what it did."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from .._core.configurations import Configuration
from .._runtime.detection import detect
from .._runtime.errors import UnknownClient
from .._runtime.snapshots import listen
from .clients import CLIENTS
from .imports import AfterImport


@dataclass(kw_only=True)
class Installation:
    """What `install` did. It changes when a client is imported later."""

    environment: str
    """Whose configuration judges."""
    safe: dict[str, str] = field(default_factory=dict)
    """Clients that were made safe, and their versions."""
    done: list[str] = field(default_factory=list)
    """What that means for each: sentences."""
    refused: dict[str, str] = field(default_factory=dict)
    """Clients that were left as they are, and why."""
    waiting: tuple[str, ...] = ()
    """Clients that will be made safe when they are imported."""

    def __str__(self) -> str:
        lines = [f"thawsafe judges connections by the {self.environment} configuration."]
        lines += [f"  {sentence}" for sentence in self.done]
        lines += [f"  {client}: NOT SAFE. {reason}" for client, reason in self.refused.items()]
        if self.waiting:
            lines.append(f"  when imported: {', '.join(self.waiting)}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """One line for logs."""
        import json

        told: dict[str, Any] = {"event": "install", "environment": self.environment, "safe": self.safe, "waiting": self.waiting}
        return json.dumps({"thawsafe": told | ({"refused": self.refused} if self.refused else {})})


_lock = threading.RLock()
_after_import = AfterImport()
_adapters: list[ModuleType] = []
"""Those whose `install` was called."""
_installation: Installation | None = None


def install(configuration: Configuration | None = None, *, clients: Iterable[str] | None = None, strict: bool = True) -> Installation:
    """Make the function's clients safe: those that are imported already, and the others when they will be. Call it before clients are made.

    configuration: the limits by which connections are judged, None for `thawsafe.detect()`. A client's timeouts, pool sizes and retries stay
    what its user chose; inside of a marked invocation no request outlasts it.
    clients: only these, of those that `Installation` lists. strict: raise UnknownClient, with nothing changed at all, when an imported client
    is of a version that is not known; otherwise, and for clients that are imported later, such a client is left as it is, with a warning.

    A second call changes nothing and returns what the first one did.
    """
    global _installation  # noqa: PLW0603 - there is one process
    with _lock:
        if _installation is not None:
            return _installation
        installation = Installation(environment=(configuration or detect()).environment)
        imported = []
        for client in _wanted(clients):
            late = _Late(installation, client, configuration)
            if client in sys.modules:
                imported.append(late)
            else:
                late.wait()
        try:
            _make_safe(installation, imported, strict)
        except UnknownClient:
            _after_import.forget()
            raise
        installation.waiting = _waiting()
        listen()
        _installation = installation
        return installation


def _make_safe(installation: Installation, imported: list[_Late], strict: bool) -> None:
    """The clients that are imported already: first all are looked at, then all are changed."""
    known = []
    for late in imported:
        try:
            late.look()
            known.append(late)
        except UnknownClient as unknown:
            if strict:
                raise
            _refuse(installation, late.client, unknown)
    for late in known:
        late.make_safe()


def uninstall() -> None:
    """Put everything back: for tests. Pools that were made meanwhile stay safe."""
    global _installation  # noqa: PLW0603 - there is one process
    with _lock:
        _after_import.forget()
        while _adapters:
            _adapters.pop().uninstall()
        _installation = None


def _wanted(clients: Iterable[str] | None) -> tuple[str, ...]:
    if clients is None:
        return tuple(CLIENTS)
    wanted = tuple(clients)
    unknown = [client for client in wanted if client not in CLIENTS]
    if unknown:
        raise ValueError(f"install does not know {', '.join(unknown)}. It knows {', '.join(CLIENTS)}.")
    return wanted


def _waiting() -> tuple[str, ...]:
    return tuple(name for name in _after_import.waiting if name in CLIENTS)


def _refuse(installation: Installation, client: str, unknown: UnknownClient) -> None:
    installation.refused[client] = str(unknown)
    warnings.warn(f"thawsafe: {unknown}", RuntimeWarning, stacklevel=2)


class _Late:
    """One client, which is made safe when it has been imported. It never raises then: the import is the function's.

    It waits for two modules: for the client, and for our adapter, which imports the client at its head. When somebody imports the adapter
    first, the client is there while the adapter is half done; then the second call is the one that counts.
    """

    def __init__(self, installation: Installation, client: str, configuration: Configuration | None) -> None:
        self._installation = installation
        self.client = client
        self._adapter = f"thawsafe.adapters.{CLIENTS[client]}"
        self._configuration = configuration
        self._done = False

    def wait(self) -> None:
        """Be called when the client or its adapter is imported."""
        _after_import.when_imported(self.client, self)
        _after_import.when_imported(self._adapter, self)

    def __call__(self) -> None:
        """One of them has been imported."""
        with _lock:
            self._installation.waiting = _waiting()
            half_done = self._adapter in sys.modules and not hasattr(sys.modules[self._adapter], "uninstall")
            if self._done or half_done or self.client not in sys.modules:
                return
            try:
                self.look()
                self.make_safe()
            except UnknownClient as unknown:
                self._done = True
                _refuse(self._installation, self.client, unknown)

    def look(self) -> ModuleType:
        """The adapter, which has looked at the client when it was imported. Raises UnknownClient; nothing is changed yet."""
        try:
            return import_module(self._adapter)
        except (ImportError, AttributeError) as error:  # a part of the client that it names is not there
            raise UnknownClient(
                f"{self.client} {self._version} is not the one that thawsafe knows ({error}). Nothing was changed in it."
            ) from error

    def make_safe(self) -> None:
        """Change the client, unless importing the adapter has led to it already."""
        if self._done:
            return
        self._done = True
        adapter = self.look()
        # Databases and caches have a default of their own: no load balancer with its 60 s stands before them.
        configuration = self._configuration or getattr(adapter, "detected", detect)()
        self._installation.done += adapter.install(configuration)
        self._installation.safe[self.client] = self._version
        _adapters.append(adapter)

    @property
    def _version(self) -> str:
        return str(getattr(sys.modules[self.client], "__version__", "without a version"))
