"""Birth, attachment and death of the router, against the real kernel."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

from frostline.sandbox.router import HOST_ADDRESS
from frostline.sandbox.router.client import Router, RouterError
from frostline.sandbox.router.messages import Furnished
from tests.sandbox.router.conftest import Lab
from tests.sandbox.router.machine import SOURCES, Machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


def pids(lab: Lab) -> dict[str, int]:
    return {role: helper.pid for role, helper in lab.router._helpers.items() if helper.pid is not None}


class Watched:
    """A process that is somebody else's child, held by a descriptor from now on, so that its number cannot become another's."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    async def end(self) -> None:
        """Wait until it has ended."""
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), 5)
        finally:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)


async def test_closing_ends_both_processes(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    watched = [Watched(pid) for pid in pids(lab).values()]
    await lab.router.close()
    for process in watched:
        await process.end()
    await lab.router.close()
    assert lab.lost == []


async def test_closing_while_it_opens_ends_the_opening(lab: Lab) -> None:
    spawned: list[Watched] = []

    async def spawn(argv: list[str], fds: list[int], new_netns: bool) -> int:
        pid = await lab.machine.spawn(argv, fds, new_netns)
        spawned.append(Watched(pid))
        if len(spawned) == 2:
            asyncio.get_running_loop().call_soon(closing.set)
        return pid

    async def close() -> None:
        await closing.wait()
        await lab.router.close()

    closing = asyncio.Event()
    opened, closed = await asyncio.gather(lab.router.open(spawn), close(), return_exceptions=True)
    assert (str(opened), closed) == ("the router was closed", None)
    for process in spawned:
        await process.end()
    await lab.router.open(lab.machine.spawn)
    await lab.environment("e")


@pytest.mark.parametrize("role", ["lab", "dialer"])
async def test_the_death_of_either_process_is_told_once_and_ends_the_other(lab: Lab, role: str) -> None:
    await lab.router.open(lab.machine.spawn)
    victims = pids(lab)
    other = Watched(victims["dialer" if role == "lab" else "lab"])
    os.kill(victims[role], signal.SIGKILL)
    await asyncio.wait_for(lab.lost_event.wait(), 5)
    await other.end()
    assert lab.lost == [f"the {role} process of the lab's router ended unexpectedly"]


async def test_attaching_without_a_router_fails_with_a_sentence(lab: Lab) -> None:
    namespace = lab.machine.namespace()
    error = await lab.attach("e", namespace)
    assert isinstance(error, RouterError)
    assert str(error) == "the lab's router has ended; start Frostline again"


async def test_descriptors_that_were_not_handed_on_are_closed_with_the_router() -> None:
    """The dialer fails when the lab has given away its namespace and sockets; and the lab gives more away."""
    router = Router(lambda _: None)
    for _ in range(2):
        given, watched = os.pipe()
        router._told(Furnished(), [given])
        await router.close()
        assert _has_no_reader(watched)
        os.close(watched)


def _has_no_reader(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


async def test_an_attachment_under_way_is_answered_when_the_router_is_lost(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    os.kill(pids(lab)["lab"], signal.SIGSTOP)
    answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    lab.router.attach("e", lab.machine.namespace().netns, answer.set_result)
    os.kill(pids(lab)["lab"], signal.SIGKILL)
    assert isinstance(await asyncio.wait_for(answer, 5), RouterError)


async def test_closing_kills_a_process_that_does_not_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.sandbox.router.client.CLOSE_TIMEOUT_S", 0.1)
    await lab.router.open(lab.machine.spawn)
    stopped = pids(lab)["lab"]
    os.kill(stopped, signal.SIGSTOP)
    watched = Watched(stopped)
    await lab.router.close()
    await watched.end()


async def test_without_nft_opening_says_what_to_install(machine: Machine) -> None:
    router = Router(lambda _: None, nft="nft-that-is-not-there")
    with pytest.raises(RouterError, match=r"'nft-that-is-not-there' was not found: install nftables .*apt-get install nftables"):
        await router.open(machine.spawn)


async def test_rules_that_nft_refuses_say_what_the_kernel_lacks(machine: Machine, anybodys: Path) -> None:
    nft = anybodys / "nft"
    nft.write_text("#!/bin/sh\necho 'Error: Could not process rule: No such file or directory' >&2\nexit 1\n")
    nft.chmod(0o755)
    router = Router(lambda _: None, nft=str(nft))
    with pytest.raises(RouterError, match=r"refused the router's rules \(Error: .*No such file or directory\): .*TPROXY"):
        await router.open(machine.spawn)


async def test_a_spawn_that_fails_leaves_nothing_running(machine: Machine) -> None:
    """The error is the spawner's own."""
    spawned: list[Watched] = []

    async def spawn(argv: list[str], fds: list[int], new_netns: bool) -> int:
        if not new_netns:
            raise PermissionError("no more processes for you")
        pid = await machine.spawn(argv, fds, new_netns)
        spawned.append(Watched(pid))
        return pid

    router = Router(lambda _: None)
    with pytest.raises(PermissionError):
        await router.open(spawn)
    await spawned[0].end()


async def test_opening_gives_up_on_processes_that_say_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.sandbox.router.client.OPEN_TIMEOUT_S", 0.1)

    async def spawn(argv: list[str], fds: list[int], new_netns: bool) -> int:
        assert argv
        return await machine.spawn(["sleep", "60"], fds, new_netns)

    router = Router(lambda _: None)
    monkeypatch.setattr("frostline.sandbox.router.client.CLOSE_TIMEOUT_S", 0.1)
    with pytest.raises(RouterError, match="not ready"):
        await router.open(spawn)


async def test_an_environment_is_attached_once(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    namespace = await lab.environment("e")
    error = await lab.attach("e", namespace)
    assert str(error) == "environment e could not be attached to the network: it is attached already"


async def test_an_environment_can_be_detached_and_attached_again(lab: Lab) -> None:
    """At once: the old link may still be waiting for its deletion."""
    await lab.router.open(lab.machine.spawn)
    namespace = await lab.environment("e")
    for _ in range(5):
        lab.router.detach("e")
        assert await lab.attach("e", namespace) is None
    lab.router.detach("nobody")


async def test_an_environment_that_is_detached_before_it_is_attached_leaves_nothing(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    namespace = lab.machine.namespace()
    answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    lab.router.attach("e", namespace.netns, answer.set_result)
    lab.router.detach("e")
    await asyncio.wait_for(answer, 5)
    assert lab.router._addresses == {}
    assert await lab.attach("e", namespace) is None


async def test_what_is_no_network_namespace_cannot_be_attached(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    with socket.socket() as sock:
        lab.router.attach("e", sock.fileno(), answer.set_result)
        error = await answer
    assert str(error).startswith("environment e could not be attached to the network: could not create the veth env1: ")
    assert lab.lost == []


async def test_detaching_ends_the_environments_connections(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    namespace = await lab.environment("e")
    ended = asyncio.get_running_loop().create_future()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        try:
            ended.set_result(await reader.read(1))
        except ConnectionError as error:
            ended.set_result(error)
        writer.transport.abort()

    server = await asyncio.start_server(watch, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    with namespace.socket() as sock:
        await loop.sock_connect(sock, (HOST_ADDRESS, server.sockets[0].getsockname()[1]))
        assert await loop.sock_recv(sock, 1) == b"x"
        lab.router.detach("e")
        assert isinstance(await asyncio.wait_for(ended, 5), ConnectionResetError)
    server.close()


async def test_an_environment_may_die_attached(lab: Lab) -> None:
    """Its veth vanishes with its namespace; detaching it then is no error, and the next one is attached."""
    await lab.router.open(lab.machine.spawn)
    for number in range(3):
        namespace = await lab.environment(f"e{number}")
        ended = Watched(namespace.pid)
        lab.machine.end(namespace)
        await ended.end()
        lab.router.detach(f"e{number}")
    assert lab.lost == []


MAIN = """
import asyncio, json, sys
sys.path[:0] = {paths!r}
from frostline.sandbox.router.client import Router
from tests.sandbox.router.machine import Machine

async def main():
    router = Router(print)
    await router.open(Machine({user!r}).spawn)
    print(json.dumps([helper.pid for helper in router._helpers.values()]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_both_processes_end_when_the_main_process_is_killed(machine: Machine) -> None:
    paths = [SOURCES, str(Path(SOURCES).parents[1])]
    program = MAIN.format(paths=paths, user=machine.user)
    main = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert main.stdout is not None
    watched = [Watched(pid) for pid in json.loads(await main.stdout.readline())]
    main.kill()
    await main.wait()
    for process in watched:
        await process.end()


async def test_ctrl_c_in_the_terminal_does_not_end_the_router(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    for pid in pids(lab).values():
        os.kill(pid, signal.SIGINT)
    namespace = await lab.environment("e")
    with namespace.socket(socket.SOCK_DGRAM) as sock:
        assert sock.connect_ex((HOST_ADDRESS, 9)) == 0
    assert lab.lost == []
