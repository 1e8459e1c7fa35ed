"""Whether a project changed: by the kernel's word, and by comparing where the kernel does not say."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.control import watch
from frostline.control.watch import Watcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "function"
    (folder / "package").mkdir(parents=True)
    (folder / "app.py").write_text("1")
    return folder


@pytest.fixture
def watcher(folder: Path) -> Iterator[Watcher]:
    watcher = Watcher((folder,))
    assert watcher.changed(), "what was read before there was a watcher may be old"
    assert not watcher.changed()
    yield watcher
    watcher.close()


def test_an_edit_is_seen_once(folder: Path, watcher: Watcher) -> None:
    (folder / "app.py").write_text("2")
    assert watcher.changed()
    assert not watcher.changed()


def test_an_edit_below_is_seen(folder: Path, watcher: Watcher) -> None:
    (folder / "package" / "new.py").write_text("1")
    assert watcher.changed()


def test_a_file_that_is_replaced_is_seen(folder: Path, watcher: Watcher) -> None:
    other = folder.parent / "app.tmp"
    other.write_text("2")
    other.rename(folder / "app.py")
    assert watcher.changed()


def test_a_mode_that_changes_is_seen(folder: Path, watcher: Watcher) -> None:
    (folder / "app.py").chmod(0o755)
    assert watcher.changed()


@pytest.mark.parametrize("arrives", ["made", "moved"])
def test_a_new_folder_is_watched_with_all_that_is_in_it(folder: Path, watcher: Watcher, arrives: str) -> None:
    new = folder.parent / "new" if arrives == "moved" else folder / "new"
    (new / "deep").mkdir(parents=True)
    if arrives == "moved":
        new.rename(folder / "new")
    assert watcher.changed()
    assert not watcher.changed()
    (folder / "new" / "deep" / "x").write_text("1")
    assert watcher.changed()


def test_caches_do_not_count(folder: Path, watcher: Watcher) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_text("1")
    assert not watcher.changed()


def test_the_inside_of_installed_packages_does_not_count_and_their_list_does(folder: Path) -> None:
    (folder / "node_modules" / "left-pad").mkdir(parents=True)
    watcher = Watcher((folder,))
    watcher.changed()
    (folder / "node_modules" / "left-pad" / "index.js").write_text("1")
    assert not watcher.changed()
    (folder / "node_modules" / "right-pad" / "lib").mkdir(parents=True)
    assert watcher.changed()
    (folder / "node_modules" / "right-pad" / "lib" / "index.js").write_text("1")
    assert not watcher.changed()
    watcher.close()


def test_a_folder_that_is_removed_and_made_again_is_still_watched(folder: Path, watcher: Watcher) -> None:
    """What `sam build` does, and `rm -rf dist && make dist`."""
    for number in range(3):
        shutil.rmtree(folder)
        folder.mkdir()
        assert watcher.changed()
        (folder / "app.py").write_text(str(number))
        assert watcher.changed()
        assert not watcher.changed()


def test_a_folder_that_comes_back_later_is_seen(folder: Path, watcher: Watcher) -> None:
    shutil.rmtree(folder)
    assert watcher.changed()
    folder.mkdir()
    assert watcher.changed()
    (folder / "app.py").write_text("3")
    assert watcher.changed()


def test_a_single_file_is_seen_when_an_editor_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("1")
    watcher = Watcher((file,))
    watcher.changed()
    (tmp_path / "app.tmp").write_text("2")
    (tmp_path / "app.tmp").rename(file)
    assert watcher.changed()
    watcher.close()


def test_without_inotify_files_are_compared_and_seldom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(watch, "INotify", refuse)
    now = 100.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    watcher = Watcher((folder,))
    assert watcher.changed()
    watcher.compared(0.010)
    assert not watcher.changed(), "comparing took 10 ms, so for 190 ms more it is not done again"
    now += 0.199
    assert not watcher.changed()
    now += 0.002
    assert watcher.changed()
    watcher.close()


def test_over_the_limit_of_watches_files_are_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(watch.INotify):
        def add_watch(self, *_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watch, "INotify", Full)
    watcher = Watcher((folder,))
    assert watcher.changed()
    assert watcher.changed()
    watcher.close()


def test_over_the_limit_of_watches_later_on_files_are_compared_from_then_on(
    folder: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watch.INotify, "add_watch", refuse)
    (folder / "new").mkdir()
    assert watcher.changed()
    assert watcher.changed()


def test_a_watcher_can_be_closed_twice(watcher: Watcher) -> None:
    watcher.close()
    watcher.close()


def test_a_file_in_folders_that_are_not_there_yet_is_waited_for(folder: Path) -> None:
    """`.aws-sam/build/template.yaml`, before the first build: nothing else of the project is compared instead."""
    watcher = Watcher((folder / ".aws-sam" / "build" / "template.yaml", folder / "package"))
    assert watcher.changed() and watcher._inotify is not None
    (folder / "package" / "new.py").write_text("1")
    assert watcher.changed() and not watcher.changed()
    build = folder / ".aws-sam" / "build"
    build.mkdir(parents=True)
    watcher.changed()
    (build / "template.yaml").write_text("1")
    assert watcher.changed()
    shutil.rmtree(folder / ".aws-sam")
    assert watcher.changed()
    build.mkdir(parents=True)
    (build / "template.yaml").write_text("2")
    assert watcher.changed()
    watcher.close()


def test_a_folder_that_is_still_in_use_when_it_is_removed_and_made_anew_is_watched(folder: Path, watcher: Watcher) -> None:
    """As environments use it: as long as somebody holds the old one, the kernel does not say that it is gone."""
    held = os.open(folder, os.O_RDONLY)
    try:
        shutil.rmtree(folder)
        assert watcher.changed()
        folder.mkdir()
        (folder / "app.py").write_text("2")
        assert watcher.changed()
        (folder / "app.py").write_text("3")
        assert watcher.changed()
    finally:
        os.close(held)
