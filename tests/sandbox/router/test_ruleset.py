"""Finding and running nft. What the rules do is in test_egress."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline.sandbox.router import ruleset
from frostline.sandbox.router.ruleset import RulesetError


def program(folder: Path, script: str) -> str:
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_nft_is_found_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = program(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ruleset.find_nft("nft") == expected


def test_nft_is_found_where_ordinary_users_do_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = program(tmp_path, "")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(ruleset, "SYSTEM_FOLDERS", str(tmp_path))
    assert ruleset.find_nft("nft") == expected


def test_without_nft_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(ruleset, "SYSTEM_FOLDERS", "/nowhere")
    with pytest.raises(RulesetError, match="'nft' was not found: install nftables"):
        ruleset.load("nft")


def test_the_table_goes_to_nft_whole(tmp_path: Path) -> None:
    ruleset.load(program(tmp_path, f'[ "$*" = "-f -" ] && cat > {tmp_path}/rules'))
    assert (tmp_path / "rules").read_text() == ruleset.TABLE


def test_what_nft_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(RulesetError, match=r"\(/dev/stdin:5:1: Error: no such thing\).*nft_tproxy"):
        ruleset.load(program(tmp_path, "cat > /dev/null; echo; echo '/dev/stdin:5:1: Error: no such thing' >&2; exit 1"))


def test_an_nft_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nft"
    path.write_bytes(b"\x7fELF but not really")
    path.chmod(0o755)
    with pytest.raises(RulesetError, match="could not be run"):
        ruleset.load(str(path))
