"""Extracting a deployment package: a zip, from anywhere, into a folder of the cache.

A zip's names, sizes and links are not to be believed. Nothing is written outside the target, more bytes than AWS allows are not written at all, and
a target is there completely or not at all: it is made beside its final name and renamed.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from .model import ProjectError

LIMIT_BYTES = 250 * 1024 * 1024
"""AWS: a deployment package has at most 250 MB unzipped, layers included."""

_UNIX = 3
"""`create_system` of archives whose entries carry Unix modes."""


def extract(archive: Path, cache: Path, limit: int = LIMIT_BYTES) -> Path:
    """The directory with the archive's content, extracted now or earlier. Raises `ProjectError`."""
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ProjectError(f"{archive}: cannot be read ({error.strerror}).") from None
    return made(cache / "code" / f"zip-{digest[:32]}", lambda target: _extract_into(archive, target, limit))


def made(final: Path, make: Callable[[Path], None]) -> Path:
    """`final`, a directory named after its content: made by `make(temporary directory)` unless it is there."""
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
    except OSError as error:
        raise ProjectError(
            f"{final.parent}: cannot write to the cache ({error.strerror}). Set XDG_CACHE_HOME to a writable directory."
        ) from None
    try:
        make(temporary)
        for directory, _, _ in os.walk(temporary):
            os.chmod(directory, 0o755)  # noqa: S103 - whatever the umask is: processes of other users read it
        os.rename(temporary, final)
    except OSError as error:
        if not final.is_dir():  # else another process was faster: what it made is the same
            raise ProjectError(f"{final}: cannot be written ({error.strerror}).") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _extract_into(archive: Path, target: Path, limit: int) -> None:
    try:
        with zipfile.ZipFile(archive) as package:
            entries = package.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > limit:
                raise ProjectError(f"{archive}: {total / 2**20:.0f} MB unzipped, and AWS allows {limit // 2**20} MB.")
            links = [entry for entry in entries if _is_link(entry)]
            left = limit
            for entry in entries:
                if not _is_link(entry):
                    left -= _write(archive, package, entry, target, left)
            # Last, so that no file is written through a link.
            for entry in links:
                _link(archive, package, entry, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ProjectError(f"{archive}: not a usable zip file ({error}).") from None
    except (NotImplementedError, RuntimeError) as error:
        # Raised by zipfile for encrypted entries and unknown compression.
        raise ProjectError(f"{archive}: cannot be extracted ({error}). Make it without encryption, with ordinary compression.") from None


def _safe(archive: Path, entry: zipfile.ZipInfo) -> str:
    name = entry.filename.replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise ProjectError(f"{archive}: the entry {entry.filename!r} points outside the archive. Nothing was used of it.")
    return posixpath.normpath(name)


def _mode(entry: zipfile.ZipInfo) -> int:
    return entry.external_attr >> 16 if entry.create_system == _UNIX else 0


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(_mode(entry))


def _write(archive: Path, package: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    path = target / _safe(archive, entry)
    try:
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with package.open(entry) as source, path.open("wb") as sink:
            while chunk := source.read(1 << 20):
                written += len(chunk)
                if written > left:
                    raise ProjectError(f"{archive}: more than {LIMIT_BYTES // 2**20} MB unzipped, which AWS does not allow.")
                sink.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ProjectError(f"{archive}: the entry {entry.filename!r} is in the archive as a file and as a directory.") from None
    # Executable where the archive says so. Readable always: the process that reads it is not the user who made the archive.
    path.chmod(0o555 if _mode(entry) & 0o111 else 0o444)
    return written


def _link(archive: Path, package: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    name = _safe(archive, entry)
    destination = package.read(entry).decode("utf-8", "surrogateescape")
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), destination))
    if posixpath.isabs(destination) or inside == ".." or inside.startswith("../") or "\0" in destination:
        raise ProjectError(f"{archive}: the link {entry.filename!r} points outside the archive, to {destination!r}.")
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(destination)
