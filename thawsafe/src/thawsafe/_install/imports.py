"""Telling when a module has been imported, so that a client is made safe that nobody has imported yet."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class AfterImport(MetaPathFinder):
    """Finds nothing itself: lets the others find a module, and calls back when it has been executed, once.

    It stands first in `sys.meta_path` while it waits for something.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}

    def when_imported(self, name: str, then: Callable[[], None]) -> None:
        """Call `then` after the module `name` has been imported the next time. It must not raise: the import is somebody else's."""
        self._waiting[name] = then
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Wait for nothing any more."""
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The modules that have not been imported yet."""
        return tuple(self._waiting)

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """The import system asks, and gets what it would have found without us."""
        then = self._waiting.pop(fullname, None)  # taken out, so that asking the others does not ask us again
        if then is None:
            return None
        spec = importlib.util.find_spec(fullname)
        loader: Any = None if spec is None else spec.loader
        if loader is None or not hasattr(loader, "exec_module"):
            self._waiting[fullname] = then
            return None
        execute = loader.exec_module

        def execute_and_tell(module: ModuleType) -> None:
            if module.__name__ != fullname:  # a loader of many modules, such as a zip file's
                execute(module)
                return
            loader.exec_module = execute
            execute(module)
            then()

        loader.exec_module = execute_and_tell
        return spec
