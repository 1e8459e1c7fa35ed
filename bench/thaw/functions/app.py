"""The function of the table: makes requests with one client, over a connection that is kept between invocations. It knows nothing of thawsafe.

Which client is in CLIENT, the name of a module beside this one: `connect(peer)` makes a client of `HOST:PORT`, `request` carries a key to the server
and raises when it fails, `close` ends the client. Where a new client does more than open a connection, `drop` closes its connections only.
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from typing import Any

client = import_module(os.environ["CLIENT"])
held: Any = None


def handler(event: dict[str, Any], context: object) -> list[float]:
    """A request for each of the event's keys: what each took, in milliseconds."""
    global held
    if event["new"] == "connection" and hasattr(client, "drop"):
        client.drop(held)
    elif event["new"]:
        if held is not None:
            client.close(held)
        held = client.connect(event["peer"])
    took = []
    for key in event["keys"]:
        began = time.perf_counter()
        client.request(held, key, idempotent=event["idempotent"])
        took.append(round((time.perf_counter() - began) * 1000, 3))
    return took
