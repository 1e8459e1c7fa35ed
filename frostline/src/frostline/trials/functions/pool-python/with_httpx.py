"""Places an order with a POST, over a connection that is kept for the next one. Which limits the client has is in VARIANT."""

import os

import httpx

URL = os.environ["ORDERS_URL"]
EXPIRY = {
    "incident": None,  # no limit: a connection is kept for as long as nobody says that it is dead
    "keepalive_expiry": 2.0,  # seconds; below the server's idle limit, which is 3
}

client = httpx.Client(limits=httpx.Limits(keepalive_expiry=EXPIRY[os.environ["VARIANT"]]), timeout=5)


def handler(event: object, context: object) -> str:
    """Order."""
    response = client.post(URL, json={"item": "ice", "count": 1})
    return f"ordered: {response.status_code} {response.reason_phrase}"
