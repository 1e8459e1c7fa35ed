"""Whom environments trust."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from frostline.sandbox import trust
from frostline.upstreams.authority import Authority


def test_the_bundle_has_the_systems_authorities_and_ours(tmp_path: Path) -> None:
    theirs, ours = Authority().pem, Authority().pem
    system = tmp_path / "system.pem"
    system.write_text(theirs.strip())
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(trust, "SYSTEM_BUNDLES", (str(system),))
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
        files = trust.files(ours)
    assert files["frostline-ca.pem"] == ours
    loaded = ssl.create_default_context(cadata=files["frostline-ca-bundle.pem"]).get_ca_certs()
    assert len(loaded) == 2


def test_without_a_bundle_of_the_systems_ours_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "SYSTEM_BUNDLES", ())
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert trust.files("PEM\n")["frostline-ca-bundle.pem"] == "PEM\n"


def test_every_variable_names_one_of_the_files() -> None:
    assert set(trust.VARIABLES.values()) == {f"/etc/{name}" for name in trust.files("")}
