from __future__ import annotations

import pickle

import pytest

from tests.thawsafe.http_server import http_server
from thawsafe import lambda_
from thawsafe.adapters import requests


def test_a_request_without_a_timeout_has_the_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests itself waits for ever."""
    seen: list[object] = []
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", lambda self, request, stream, timeout, *rest: seen.append(timeout))
    adapter = requests.HTTPAdapter(lambda_())
    adapter.send(None)  # type: ignore[arg-type]
    adapter.send(None, timeout=1.5)  # type: ignore[arg-type]

    assert seen == [(5.0, 10.0), 1.5]


def test_it_can_be_pickled_as_requests_own() -> None:
    adapter = pickle.loads(pickle.dumps(requests.HTTPAdapter(lambda_().replace(idle_age=7))))

    assert adapter.configuration.idle_age == 7
    assert adapter.poolmanager.connection_from_url("http://127.0.0.1:1").judged_by is adapter.guard


def test_pools_of_a_proxy_are_judged_by_the_same_guard() -> None:
    adapter = requests.HTTPAdapter(lambda_())

    assert adapter.proxy_manager_for("http://127.0.0.1:1").connection_from_url("http://x").judged_by is adapter.guard


def test_both_schemes_of_a_session_are_safe() -> None:
    with http_server() as server, requests.Session(lambda_()) as session:
        assert session.get(f"http://127.0.0.1:{server.port}/tag").status_code == 200
        assert all(isinstance(session.get_adapter(scheme), requests.HTTPAdapter) for scheme in ("http://x", "https://x"))
