"""The form of a table of cures."""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, tuple[tuple[str, str], ...]]
"""By client: settings and why, the best one first. `{age_s}`, `{age_ms}`, `{age_int}` and `{age_go}` stand for how long a connection may be idle."""

RETRY_POLICY = (
    '{{"methodConfig": [{{"name": [{{}}], "retryPolicy": {{"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", '
    '"backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}}}]}}'
)
"""gRPC's service configuration (gRFC A6) that sends a call again which found its connection dead."""
