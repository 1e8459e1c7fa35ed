"""Revisions: different when anything that counts is different, cheap, and the same otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from frostline.project import ProjectError
from frostline.project.fingerprint import aws_time, look


def digest(path: Path) -> str:
    return look((path,)).digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "app.py").write_text("1")
    (tmp_path / "lib" / "x.py").write_text("12")
    return tmp_path


def test_looking_changes_nothing(tree: Path) -> None:
    seen = look((tree,))
    assert look((tree,)) == seen
    assert (seen.size, seen.newest) == (3, pytest.approx((tree / "lib" / "x.py").stat().st_mtime))


def test_every_change_that_counts_is_seen(tree: Path) -> None:
    """Content, a new file, a file gone, a name, the executable bit, another file of equal size and time."""
    seen = [digest(tree)]

    def changed() -> None:
        assert digest(tree) not in seen
        seen.append(digest(tree))

    (tree / "app.py").write_text("22")
    changed()
    (tree / "new").touch()
    changed()
    (tree / "new").rename(tree / "newer")
    changed()
    (tree / "newer").chmod(0o755)
    changed()
    (tree / "lib" / "x.py").unlink()
    changed()
    (tree / "folder").mkdir()
    changed()
    stat = (tree / "app.py").stat()
    (tree / "other").write_text("33")
    os.utime(tree / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tree / "other").replace(tree / "app.py")
    changed()


@pytest.mark.parametrize(
    "name", ["__pycache__/x.pyc", ".git/index", "lib/__pycache__/x.pyc", ".aws-sam/build/template.yaml", "node_modules/pkg/lib/deep.js"]
)
def test_caches_and_tools_do_not_count(name: str, tree: Path) -> None:
    path = tree / name
    path.parent.mkdir(parents=True)
    path.write_text("1")
    seen = digest(tree)
    path.write_text("22")
    assert digest(tree) == seen


@pytest.mark.parametrize("name", ["node_modules/pkg", "node_modules/@scope/pkg", "node_modules/.package-lock.json"])
def test_installing_a_package_counts(name: str, tree: Path) -> None:
    (tree / "node_modules" / "@scope").mkdir(parents=True)
    seen = digest(tree)
    (tree / name).mkdir()
    assert digest(tree) != seen


def test_dangling_links_and_missing_paths(tree: Path) -> None:
    seen = digest(tree)
    (tree / "link").symlink_to("nowhere")
    assert digest(tree) == seen
    assert look((tree / "nowhere",)).digest != seen


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    """A link to the folder above is no endless walk."""
    (tree / "loop").symlink_to("..")
    assert look((tree,)).size >= 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_folder_is_an_error_for_a_person(tree: Path) -> None:
    (tree / "lib").chmod(0)
    try:
        with pytest.raises(ProjectError, match="cannot be read"):
            look((tree,))
    finally:
        (tree / "lib").chmod(0o755)


def test_a_thousand_files_are_looked_at_quickly(tmp_path: Path) -> None:
    """Cheap enough to be asked before every invocation. The processor's time counts, as a busy machine takes longer by the clock."""
    for number in range(1000):
        (tmp_path / f"{number}.py").touch()
    look((tmp_path,))
    begun = time.process_time()
    look((tmp_path,))
    assert time.process_time() - begun < 0.25


def test_times_as_aws_prints_them() -> None:
    assert aws_time(1_795_341_600.1239) == "2026-11-22T10:00:00.123+0000"
