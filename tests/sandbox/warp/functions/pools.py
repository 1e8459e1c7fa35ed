"""Do pools of connections give up one that has been idle for too long? Each pool keeps idle connections for 1 or for 8 units of time.

One request on each, then `ready`; as soon as time has passed, another, and `reused NAME true|false`.
"""

import asyncio
import contextlib
import sys
import time
from concurrent import futures

import aiohttp
import grpc
import httpx

unit = float(sys.argv[1])


async def serve(reader, writer):
    port = writer.get_extra_info("peername")[1]
    with contextlib.suppress(asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%05d" % port)
    writer.close()


async def with_httpx(client, url):
    return (await client.get(url)).text


async def with_aiohttp(client, url):
    async with client.get(url) as answer:
        return await answer.text()


def grpc_channel(units):
    """A channel that is given up when no call was made for a while: its connection is the client's port in the server's view."""
    ports = []

    class Peers(grpc.ServerInterceptor):
        def intercept_service(self, continuation, call):
            return grpc.unary_unary_rpc_method_handler(lambda _request, context: (ports.append(context.peer()), b"")[1])

    server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=[Peers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    options = [("grpc.client_idle_timeout_ms", int(units * unit * 1000)), ("grpc.use_local_subchannel_pool", 1)]
    call = grpc.insecure_channel(f"127.0.0.1:{port}", options).unary_unary("/any/Method")

    def ask():
        call(b"", timeout=5)
        return ports[-1]

    return server, ask


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pools, kept = {}, []
    for units in (1, 8):
        client = httpx.AsyncClient(limits=httpx.Limits(keepalive_expiry=units * unit))
        pools[f"httpx-{units}"] = lambda client=client: with_httpx(client, url)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=units * unit))
        pools[f"aiohttp-{units}"] = lambda session=session: with_aiohttp(session, url)
        grpc_server, ask = grpc_channel(units)
        kept.append(grpc_server)
        pools[f"grpc-{units}"] = lambda ask=ask: asyncio.to_thread(ask)
    before = {name: await get() for name, get in pools.items()}
    asyncio.get_running_loop().call_later(0.1, lambda: print("ready", flush=True))
    asked = time.monotonic()
    while time.monotonic() - asked < 2.5 * unit:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)
    for name, get in pools.items():
        print("reused", name, "true" if await get() == before[name] else "false", flush=True)
    await asyncio.sleep(1000)


asyncio.run(main())
