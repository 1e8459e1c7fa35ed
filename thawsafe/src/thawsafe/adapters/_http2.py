"""What asking the peer of an HTTP/2 connection of httpcore needs: httpcore has no PING of its own, so parts of it are used that are private."""

from __future__ import annotations

from typing import Any

import httpcore

PING = b"thawsafe"
"""The eight bytes of a PING: whatever else is unread on the connection, its answer is told by them (RFC 9113, 6.7)."""

_PARTS = ("_events", "_h2_state", "_write_outgoing_data", "_read_incoming_data", "_receive_remote_settings_change")


def http2_of(connection: Any) -> Any:
    """Httpcore's HTTP/2 connection inside of those for proxies, or None when its parts are not where they were."""
    for _ in range(4):
        if all(hasattr(connection, part) for part in _PARTS):
            return connection
        connection = getattr(connection, "_connection", None)
    return None


def answer(events: list[Any]) -> tuple[bool | None, list[Any]]:
    """Has the peer answered the PING (True), said goodbye (False), or neither; and the settings that it changed meanwhile."""
    import h2.events  # there, or there were no connection of HTTP/2

    settings = [event for event in events if isinstance(event, h2.events.RemoteSettingsChanged)]
    if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
        return False, settings
    answered = any(isinstance(event, h2.events.PingAckReceived) and event.ping_data == PING for event in events)
    return (True if answered else None), settings


def bounded(seconds: float) -> httpcore.Request:
    """What httpcore takes its timeouts from."""
    left = max(seconds, 0.001)
    return httpcore.Request("OPTIONS", "http://thawsafe/", extensions={"timeout": {"read": left, "write": left}})
