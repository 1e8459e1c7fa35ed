"""Extracting zips that are not to be trusted."""

from __future__ import annotations

import contextlib
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frostline.project import ProjectError
from frostline.project.archive import extract


def make(path: Path, entries: dict[str, tuple[bytes, int]]) -> Path:
    """A zip whose entries have the given content and Unix mode."""
    with zipfile.ZipFile(path, "w") as package:
        for name, (content, mode) in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.create_system = 3
            package.writestr(info, content)
    return path


def test_content_and_executable_bits_are_kept(tmp_path: Path, cache: Path) -> None:
    """What may be executed may be executed by everybody, and everything may be read by everybody: whoever runs it is somebody else."""
    package = make(tmp_path / "f.zip", {"bootstrap": (b"#!/bin/sh\n", 0o100700), "lib/data": (b"1", 0o100600), "empty/": (b"", 0o40755)})
    code = extract(package, cache)
    assert (code / "bootstrap").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((code / "bootstrap").stat().st_mode) == 0o555
    assert stat.S_IMODE((code / "lib" / "data").stat().st_mode) == 0o444
    assert stat.S_IMODE((code / "lib").stat().st_mode) == stat.S_IMODE(code.stat().st_mode) == 0o755
    assert (code / "empty").is_dir()


def test_the_same_zip_is_extracted_once(tmp_path: Path, cache: Path) -> None:
    first = extract(make(tmp_path / "a.zip", {"x": (b"1", 0o100644)}), cache)
    assert extract(make(tmp_path / "b.zip", {"x": (b"1", 0o100644)}), cache) == first
    assert extract(make(tmp_path / "a.zip", {"x": (b"2", 0o100644)}), cache) != first


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..", "C:\\out", "a\\..\\..\\out"])
def test_nothing_is_written_outside(name: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ProjectError, match="points outside the archive"):
        extract(make(tmp_path / "f.zip", {name: (b"x", 0o100644)}), cache)
    assert not list(tmp_path.rglob("out"))
    assert not list((cache / "code").iterdir())


@pytest.mark.parametrize("target", ["../../out", "/etc/passwd", ".."])
def test_links_stay_inside(target: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ProjectError, match="points outside the archive, to"):
        extract(make(tmp_path / "f.zip", {"link": (target.encode(), 0o120777)}), cache)


def test_links_inside_are_kept_and_nothing_is_written_through_them(tmp_path: Path, cache: Path) -> None:
    """A link and a file below it: the archive cannot mean both."""
    code = extract(make(tmp_path / "f.zip", {"bin/tool": (b"../lib/tool", 0o120777), "lib/tool": (b"1", 0o100755)}), cache)
    assert (code / "bin" / "tool").is_symlink() and (code / "bin" / "tool").read_bytes() == b"1"
    with pytest.raises(ProjectError):
        extract(make(tmp_path / "g.zip", {"a": (b"lib", 0o120777), "a/b": (b"1", 0o100644)}), cache)


def test_limits(tmp_path: Path, cache: Path) -> None:
    package = make(tmp_path / "f.zip", {"a": (b"x" * 600, 0o100644), "b": (b"x" * 600, 0o100644)})
    with pytest.raises(ProjectError, match="unzipped, and AWS allows"):
        extract(package, cache, limit=1000)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip at all", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_zip_is_said(content: bytes, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "f.zip").write_bytes(content)
    with pytest.raises(ProjectError, match="not a usable zip"):
        extract(tmp_path / "f.zip", cache)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_zip_is_a_project_error_or_fine(position: int, value: int, tmp_path: Path, cache: Path) -> None:
    """One byte changed anywhere: nothing but ProjectError, and nothing outside of the cache."""
    package = make(tmp_path / "f.zip", {"a/b": (b"content" * 10, 0o100644), "link": (b"a", 0o120777)})
    data = bytearray(package.read_bytes())
    data[position % len(data)] = value
    (tmp_path / "g.zip").write_bytes(data)
    with contextlib.suppress(ProjectError):
        extract(tmp_path / "g.zip", cache)
    assert {path.name for path in tmp_path.iterdir()} == {"f.zip", "g.zip", "cache"}
