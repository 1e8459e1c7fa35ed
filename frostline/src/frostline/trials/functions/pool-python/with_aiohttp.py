"""Places an order with a POST, over a connection that is kept for the next one. Which connector it uses is in VARIANT.

The event loop has a thread of its own, so it runs on between two invocations as long as nothing is frozen.
"""

import asyncio
import os
import threading

import aiohttp

URL = os.environ["ORDERS_URL"]
KEEPALIVE = {
    "incident": 15.0,  # aiohttp's default: longer than the server keeps an idle connection, which is 3 seconds
    "keepalive_timeout": 2.0,
}


async def connect() -> aiohttp.ClientSession:
    """One session for all invocations."""
    connector = aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE[os.environ["VARIANT"]])
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5))


async def order() -> str:
    """Order."""
    async with session.post(URL, json={"item": "ice", "count": 1}) as response:
        await response.read()
        return f"ordered: {response.status} {response.reason}"


loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
session = asyncio.run_coroutine_threadsafe(connect(), loop).result()


def handler(event: object, context: object) -> str:
    """Order."""
    return asyncio.run_coroutine_threadsafe(order(), loop).result()
