"""One connection of an environment: being dialed, relayed, held while the environment is frozen, and perhaps taken away by that.

What ends a connection while its environment is frozen (the peer, or a middlebox on the path) is kept until the thaw, and meets the fate there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from ...core.fates import Fate
from ...core.middlebox import Middlebox, Then
from . import tcp
from .first_write import FirstWrite
from .held import Held
from .idle import Idle
from .policy import DestinationDenied
from .record import Record
from .relay import How, Relay, Side
from .resets import NOTHING, Flow, Sent, attach_filter, deafen
from .terms import End, Endpoint, Household, Services, Thaw
from .traffic import Traffic


class Connection:
    """See the module."""

    def __init__(
        self,
        services: Services,
        edge: Household,
        number: int,
        inner: socket.socket,
        port: int,
        host: str | None,
        fate: Fate,
        middlebox: Middlebox | None,
    ) -> None:
        """`port` is the environment's own. The address of a socket accepted by TPROXY is the one that the function connected to."""
        self._services = services
        self._edge = edge
        self._number = number
        self.inner = inner
        self.fate: Fate = fate
        self._middlebox = middlebox
        self.destination: Endpoint = inner.getsockname()
        self.flow: Flow = (edge.address, port, *self.destination)
        self.relay: Relay | None = None
        self._idle: Idle | None = None
        self._traffic: Traffic | None = None
        self._record = Record(services, edge.address, number, host, self.destination, port)
        self._first_write = FirstWrite(edge.address, number, services.now, services.tell)
        self.hole = False
        """Nothing passes any more."""
        self.vanished = False
        """The environment's end of it is gone, and the environment does not know."""
        self._far: socket.socket | None = None
        """The other end's socket of a vanished one, kept so that the other end does not learn of it."""
        self.inner_fd, self.outer_fd = inner.fileno(), -1
        self._refused = False
        """It could not be dialed, and the environment, frozen, has not been told."""
        self._held: Held | None = None
        """What comes while it is held; there is one once it was dialed."""
        self._passed_s = 0.0
        """Time that was made to pass while it was being dialed in a freeze."""
        self._aborted = False
        services.unread.discard(self.flow)
        self._dial = asyncio.get_running_loop().create_task(services.dial(edge.address, self.destination), name=f"dial for {edge.address}")
        self._dial.add_done_callback(self._dialed)

    @property
    def spared(self) -> bool:
        """The network goes on for it in a freeze."""
        return self.fate == "fin_delivered"

    def decide(self, fate: Fate, middlebox: Middlebox | None) -> bool:
        """It meets these from now on; False where the fate has to wait for the thaw, as another one was met already."""
        self._middlebox = middlebox
        ended = self._held is not None and self._held.end is not None
        if self._idle is not None and not ended and not self.hole:
            self._idle.guard(middlebox)
        if fate != self.fate and self._edge.held and ended:
            return False
        was_spared, self.fate = self.spared, fate
        if self.spared != was_spared and self._edge.held and not self.hole:
            self.call_off() if self.spared else self._hold()
        return True

    def _hold(self) -> None:
        """In a freeze, nothing that comes is passed on."""
        if self._held is not None:
            self._held.begin()
            if self._edge.cut:
                self._held.cut()

    def _dialed(self, dial: asyncio.Task[socket.socket]) -> None:
        try:
            outer = dial.result()
        except (OSError, DestinationDenied, asyncio.CancelledError) as error:
            self._not_dialed(error)
            return
        if self.hole:
            outer.close()
            return
        services = self._services
        self.outer_fd = outer.fileno()
        self._traffic = Traffic(self._edge.address, self._number, services.now, services.tell) if services.recording else None
        on_bytes = None if self._traffic is None else self._traffic.passed
        self.relay = Relay(self.inner, outer, services.buffer, self._ended, self._on_close, now=services.now, on_bytes=on_bytes)
        self.relay.inward.delay_s = self._edge.latency_s
        self._idle = Idle(self.relay, services.now, self._expired)
        self._held = Held(services, self.relay, self._traffic, self._met_fate)
        self._record.opened(self.fate, self._middlebox)
        if self._aborted:
            self.relay.abort()
            return
        self._idle.guard(self._middlebox)
        if self._edge.held and not self.spared:
            self._hold()
            if self._passed_s:
                self.pass_time(self._passed_s)

    def _not_dialed(self, error: BaseException) -> None:
        if self.hole:
            return  # it was given up by us
        self._record.refused(error)
        if self._edge.held and not self.spared and not self._aborted:
            self._refused = True  # the reset falls into the freeze
        else:
            self._refuse()

    def _refuse(self) -> None:
        tcp.reset(self.inner)
        self._ended()

    # Freezing ----------------------------------------------------------------------------------------------------------------------------

    def hold_inward(self, *, came: bool) -> None:
        """Deliver what has come from the peer by now, and nothing that comes later. `came`: something has."""
        self._first_write.stop()
        if self.relay is None or self._held is None or self.hole or self.spared:
            return
        if came:
            self.relay.inward.catch_up()
        self._held.begin()

    def drained(self, *, came: bool) -> bool:
        """Pass on what the environment has sent; whether that is all. `came`: there is something to read."""
        if self.relay is None or self.hole or self.spared:
            return True
        way = self.relay.outward
        return way.ended or (not way.clogged and (not came or way.pass_on()) and not way.clogged)

    def hold_outward(self) -> None:
        """What the environment's kernel still sends stays in the router."""
        if self._held is not None and not self.spared and not self.hole:
            self._held.cut()

    def _met_fate(self, end: End) -> None:
        """What ended it while it was held meets its fate."""
        if self._idle is not None:
            self._idle.close()
        if self.relay is not None and end.is_told and end.how != "silence":
            self._record.closed(self.relay, end.by, end.how, met=self.fate, at=end.at)

    @property
    def is_unharmed(self) -> bool:
        """A freeze ends, and if nothing has come from the peer, there is nothing to do for it but to `resume`."""
        return self._held is not None and self._held.end is None and not self.hole and self.fate in ("lost", "survive")

    def resume(self) -> None:
        """It goes on where it was."""
        if self.relay is not None and self._held is not None and self._idle is not None:
            self._held.reset()
            self._idle.begin_anew()
            self._go_on(self.relay, self._idle.since)

    def release(self, mask: int) -> Thaw:
        """The freeze ends; `mask` is what poll(2) says about the peer's side."""
        if self.hole:
            return Thaw()
        idle_since = 0.0
        if self._idle is not None:
            idle_since = self._idle.since()
            self._idle.begin_anew()
        if self.spared:
            self._first_write.expect(self.relay, lambda: idle_since)
            return Thaw()
        if self._held is not None:
            return self._meet(*self._held.finish(mask), idle_since)
        return self._meet(End("peer", "rst", self._services.now()) if self._refused else None, False, idle_since)

    def _meet(self, end: End | None, something: bool, idle_since: float) -> Thaw:
        """The fate, after a freeze. `something`: came from the peer, if not its end."""
        data: Literal["data"] | None = "data" if something else None
        came = end.how if end is not None and end.by == "peer" and end.how != "silence" else data
        if self.fate == "blackhole" or (end is not None and end.how == "silence"):
            self._record.lost("blackhole", end)
            self._first_write.lose(idle_since)
            self._swallow()
            return Thaw(came, "blackhole")
        if end is not None and (self.fate == "lost" or not end.is_told):
            self._record.lost("lost", end)
            self._first_write.lose(idle_since)
            self._vanish(keep_far=not end.is_told)
            return Thaw(came, "lost")
        if self.relay is None:
            if self._refused:
                self._refuse()
        elif end is not None and end.by == "middlebox":
            self.relay.end(socket.socket.close, socket.socket.close)
        elif end is not None and end.how == "rst":
            self.relay.abort()
        else:
            self._go_on(self.relay, lambda: idle_since)
            if came is not None:  # now, before the processes go on: what they find must not depend on who is faster
                self.relay.inward.catch_up()
        return Thaw(came)

    def _go_on(self, relay: Relay, idle_since: Callable[[], float]) -> None:
        self._first_write.expect(relay, idle_since)
        relay.inward.release()
        relay.outward.release()

    def call_off(self) -> None:
        """For this connection there is no freeze after all: nothing is lost by it."""
        if self.hole:
            return
        if self._refused:
            self._refuse()
        elif self.relay is not None and self._held is not None:
            end = self._held.call_off()
            if end is not None and end.by == "middlebox":
                self._path_died(end.how, end.at)
            else:
                self.relay.inward.release()
                self.relay.outward.release()

    # A path that dies --------------------------------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Have it be idle for longer by so much; what is over its limit first, the path or the peer, ends it."""
        if self._idle is None or self.relay is None or self._held is None:
            self._passed_s += seconds
            return
        if self.hole or self._held.end is not None:
            return
        limit = None if self.relay.inward.ended else self._services.peer_limit(self.destination)
        path_s = self._idle.left_s()
        peer_s = None if limit is None else limit.idle_s - self._idle.seconds()
        self._idle.pass_time(seconds)
        if limit is not None and peer_s is not None and peer_s <= min(seconds, seconds if path_s is None else path_s):
            self._peer_gave_up(self.relay, limit.how, self._services.now() + max(peer_s, 0.0))
        elif path_s is not None and path_s <= seconds:
            self._idle.expire(max(path_s, 0.0))

    def _peer_gave_up(self, relay: Relay, how: How, at: float) -> None:
        """As if it had ended the connection for being idle; the real server sees it ended by us."""
        if how == "fin":
            with suppress(OSError):  # it has ended it just now
                relay.outer.shutdown(socket.SHUT_RDWR)
        if relay.inward.held and self._held is not None:
            self._held.ends(End("peer", how, at))
        else:  # told at once, as processes may run at any moment
            self._record.peer_ends_at = at
            relay.failed("peer") if how == "rst" else relay.inward.pass_on()

    def _expired(self, middlebox: Middlebox, at: float) -> None:
        """Nothing has gone over it for longer than what is on its path remembers."""
        assert self.relay is not None and self._held is not None
        self._record.expired(middlebox, at)
        if middlebox.then != "fin":
            deafen(self.relay.outer)
        if self.relay.inward.held:
            if middlebox.then == "fin":
                with suppress(OSError):  # the peer has ended it just now
                    self.relay.outer.shutdown(socket.SHUT_WR)
            self._held.ends(End("middlebox", middlebox.then, at))
        else:
            self._path_died(middlebox.then, at)

    def _path_died(self, then: Then, at: float) -> None:
        """While nothing is held."""
        assert self.relay is not None and self._idle is not None
        self._first_write.lose(self._idle.since())
        if then == "fin":
            self._record.closed(self.relay, "middlebox", "fin", met=self._met, at=at)
            self.relay.end(socket.socket.close, socket.socket.close)
        elif then == "rst":
            self._vanish(keep_far=True)
        else:
            self._swallow()
        if self.hole:
            self._edge.fell_silent(self)

    def _vanish(self, *, keep_far: bool) -> None:
        """Forget the environment's end without telling it: the kernel answers its next packet by a reset."""
        self.vanished = True
        self._services.unread.add(self.flow, self)
        if self.relay is None:
            tcp.vanish(self.inner)
            self._ended()
        elif keep_far:
            self.hole = True
            self._far = self.relay.outer
            self.relay.end(tcp.vanish, lambda _: None)
        else:
            self.relay.end(tcp.vanish, socket.socket.close)

    def _swallow(self) -> None:
        """Let nothing through any more, in either direction, and let both sides wait."""
        self.hole = True
        attach_filter(self.inner, NOTHING)
        self._services.unread.add(self.flow, self)
        if self._idle is not None:
            self._idle.close()
        if self.relay is not None:
            deafen(self.relay.outer)
            self.relay.outward.detach()
            self.relay.inward.detach()
        else:
            self._dial.cancel()

    def written_in_vain(self) -> bool:
        """For a black hole that is not watched: whether the environment has sent something into it. Told once."""
        if found := tcp.drops(self.inner) > 0:
            self.swallowed(self._services.now(), None)
        return found

    def swallowed(self, at: float, sent: Sent | None) -> None:
        """For a black hole: the environment has sent something into it."""
        self._first_write.answered_unseen("nothing", at, sent)

    def reset_seen(self, at: float, sent: Sent | None) -> None:
        """For a vanished one: the kernel has answered a write on it, which was this."""
        self._first_write.answered_unseen("rst", at, sent)
        if self.relay is not None:
            # In a freeze, the environment's kernel has asked and was told: it goes on (a keep-alive probe).
            self._record.closed(self.relay, "middlebox", "rst", met="fin_delivered" if self._edge.held else None, at=at)

    def abandon(self) -> None:
        """Give one up that carries nothing: too many came after it."""
        self._services.unread.discard(self.flow)
        if self._far is not None:
            self._end_far()
        elif self.relay is not None:
            self.relay.end(tcp.vanish, tcp.reset)
        else:
            tcp.vanish(self.inner)
            self._ended()

    def _end_far(self) -> None:
        far, self._far = self._far, None
        if far is not None:
            tcp.reset(far)
            self._ended()

    # The end -----------------------------------------------------------------------------------------------------------------------------

    @property
    def _met(self) -> Fate | None:
        """The fate that an end meets now."""
        return self.fate if self._edge.held else None

    def _on_close(self, side: Side, how: How) -> None:
        if side == "peer":
            self._first_write.answered_by_end(how)
        if self._traffic is not None:
            self._traffic.flush()
        if self.relay is not None:
            self._record.closed(self.relay, side, how, met=self._met)

    def _ended(self) -> None:
        if self._traffic is not None:
            self._traffic.close()
        if self._idle is not None:
            self._idle.close()
        if self._far is not None:
            return  # this end is over, and the other one is to go on knowing nothing
        if self.relay is not None:
            self._services.peers.forget(self.outer_fd)
        self._first_write.stop()
        self._edge.ended(self)

    def abort(self) -> None:
        """End it with a reset to both sides, whatever it is doing."""
        self._aborted = True
        if self._far is not None:
            self._end_far()
        elif self.relay is not None:
            self._record.no_more()
            self.relay.abort()
        elif self._refused or self.hole:
            self._refuse()
        else:
            self._dial.cancel()
