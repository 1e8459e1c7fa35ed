"""Places an order with a POST, over a connection that is kept for the next one. Which session it uses is in VARIANT."""

import os
import time

import requests

URL = os.environ["ORDERS_URL"]
VARIANT = os.environ["VARIANT"]
IDLE_LIMIT_S = 2.0
"""Below the server's idle limit, which is 3 seconds."""

session = requests.Session()
last_used = time.monotonic()


def session_for_now() -> requests.Session:
    """The session to use: requests' pool has no idle limit, so the session that holds it has one here."""
    global session, last_used
    if VARIANT == "new session when idle" and time.monotonic() - last_used > IDLE_LIMIT_S:
        session.close()
        session = requests.Session()
    last_used = time.monotonic()
    return session


def handler(event: object, context: object) -> str:
    """Order."""
    headers = {"Connection": "close"} if VARIANT == "Connection: close" else {}
    response = session_for_now().post(URL, json={"item": "ice", "count": 1}, headers=headers, timeout=5)
    return f"ordered: {response.status_code} {response.reason}"
