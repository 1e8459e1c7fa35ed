"""Directories that the environment's user may not read, on file systems where that cannot be mended by a mount."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frostline.sandbox.warden.copies import copy_merged, readable_by_all

IN_OWN_MOUNTS = """
import asyncio, os, sys
from pathlib import Path
from frostline.core.events import ProcessExited
from frostline.sandbox.warden import syscalls as sc
from tests.sandbox.driver import Driver
sc.unshare(sc.CLONE_NEWNS)
sc.mount("none", "/", None, sc.MS_REC | sc.MS_PRIVATE)
place = Path(sys.argv[1])
sc.mount("ramfs", str(place), "ramfs", 0, "mode=700")  # ramfs cannot have idmapped mounts
for name in ("code", "one", "two"):
    (place / name).mkdir(mode=0o700)
    (place / name / "file").write_text(f"{name}\\n")
    (place / name / "file").chmod(0o600)
async def main():
    driver = await Driver().open("namespaces/signals")
    try:
        environment = await driver.started(place / "code", layers=(place / "one", place / "two"))
        copies = list((driver.sandbox._run.path / "copies").iterdir())
        print((await driver.output_of(environment, "cat /var/task/file /opt/file")).split(), len(copies))
        await driver.destroy(environment)
        print([path for path in copies if path.exists()])
    finally:
        await driver.sandbox.close()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="an ordinary user's environments read what that user may read")
def test_they_are_copied_and_the_copies_go_with_the_environment(tmp_path: Path) -> None:
    repository = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", IN_OWN_MOUNTS, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "['code', 'two'] 1\n[]\n"


def test_a_merged_copy_is_readable_and_the_last_one_wins(tmp_path: Path) -> None:
    for number in (1, 2):
        directory = tmp_path / f"{number}" / "bin"
        directory.mkdir(parents=True, mode=0o700)
        (directory / "both").write_text(f"{number}")
        (directory / f"only{number}").touch(0o600)
        (directory / "both").chmod(0o700)
        (directory / "link").symlink_to(f"only{number}")
    merged = Path(copy_merged([str(tmp_path / "1"), str(tmp_path / "2")], str(tmp_path / "merged")))
    assert sorted(path.name for path in (merged / "bin").iterdir()) == ["both", "link", "only1", "only2"]
    assert (merged / "bin" / "both").read_text() == "2" and (merged / "bin" / "link").readlink() == Path("only2")
    assert readable_by_all(str(merged)) and not readable_by_all(str(tmp_path / "1"))
    assert (merged / "bin" / "both").stat().st_mode & 0o777 == 0o755
