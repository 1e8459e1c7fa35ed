"""The laws that every course of events must keep, whoever plays the world: watched from outside, by events and effects alone.

`Fleet.validate` looks at the fleet from inside. These look at what the world sees: who was answered how often, what was asked of which
environment in which condition. Hand every event and its effects to `Laws.observe`; at the end, when the world owes nothing any more, call
`Laws.finished`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.effects import (
    Answer,
    DestroyEnvironment,
    Effect,
    FreezeEnvironment,
    KillProcesses,
    NextInvocation,
    NextInvoke,
    NextShutdown,
    OpenGate,
    Registered,
    Resolve,
    SignalProcess,
    StartEnvironment,
    StartProcess,
    Stopped,
    StreamChunk,
    StreamEnd,
    StreamStart,
    ThawEnvironment,
)
from ..core.events import (
    EnvironmentFreezeFailed,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    Event,
    ExchangeClosed,
    ExtensionEvent,
    ExtensionNext,
    InvocationArrived,
    ProcessesKilled,
    ProcessExited,
    RuntimeEvent,
    RuntimeNext,
)

_ORDERS = (StartProcess, OpenGate, SignalProcess, KillProcesses, FreezeEnvironment, ThawEnvironment, DestroyEnvironment)


class _Sight:
    """What can be known of an environment from outside."""

    def __init__(self) -> None:
        self.built = False
        #: From the order to freeze up to the word that it runs again.
        self.still = False
        self.thawing = False
        self.destroyed = False
        self.processes: set[str] = set()
        self.gated: set[str] = set()
        self.runtime_polls: set[int] = set()
        #: Registered extensions, and the polls that each of them holds.
        self.extension_polls: dict[str, set[int]] = {}
        self.delivered: str | None = None

    def emptied(self) -> None:
        """Nothing runs in it any more."""
        self.still = self.thawing = False
        self.processes.clear()
        self.gated.clear()
        self.runtime_polls.clear()
        self.extension_polls.clear()
        self.delivered = None


class Laws:
    """Watches events and effects; every method raises AssertionError when a law is broken."""

    def __init__(self) -> None:
        self._environments: dict[str, _Sight] = {}
        self._asked: set[int] = set()
        self._answered: set[int] = set()
        self._invoked: set[str] = set()
        self._resolved: set[str] = set()
        self._streams: dict[str, bool] = {}
        self.stopped = False

    def observe(self, event: Event, effects: Sequence[Effect]) -> None:
        """Take note of an event and of what the fleet wants done about it."""
        self._event(event)
        for effect in effects:
            assert not self.stopped or isinstance(event, InvocationArrived), f"{effect!r} after Stopped"
            self._effect(effect, event)

    def finished(self) -> None:
        """Nothing is owed any more: every invoker has had its answer, whole."""
        missing = self._invoked - self._resolved - set(self._streams)
        assert not missing, f"never answered: {sorted(missing)}"
        open_streams = sorted(request_id for request_id, ended in self._streams.items() if not ended)
        assert not open_streams, f"streams that never ended: {open_streams}"

    # Events ------------------------------------------------------------------------------------------------------------------------------

    def _event(self, event: Event) -> None:
        if isinstance(event, RuntimeEvent | ExtensionEvent):
            self._asked.add(event.exchange)
        if isinstance(event, InvocationArrived):
            self._invoked.add(event.request_id)
        sight = self._environments.get(getattr(event, "environment", ""))
        if sight is not None:
            self._poll(sight, event)
            self._report(sight, event)

    def _poll(self, sight: _Sight, event: Event) -> None:
        match event:
            case RuntimeNext():
                sight.runtime_polls.add(event.exchange)
                sight.delivered = None
            case ExtensionNext() if event.extension_id in sight.extension_polls:
                sight.extension_polls[event.extension_id].add(event.exchange)
            case ExchangeClosed():
                self._release(sight, event.exchange)

    @staticmethod
    def _report(sight: _Sight, event: Event) -> None:
        match event:
            case EnvironmentThawed() | EnvironmentFreezeFailed():
                sight.still = sight.thawing = False
            case EnvironmentStarted():
                sight.built = True
            case ProcessExited():
                sight.processes.discard(event.process)
                if event.process == "runtime":
                    sight.runtime_polls.clear()
                    sight.delivered = None
            case ProcessesKilled():
                sight.emptied()
            case EnvironmentGone() | EnvironmentStartFailed():
                sight.emptied()
                sight.destroyed = True

    @staticmethod
    def _release(sight: _Sight, exchange: int) -> None:
        sight.runtime_polls.discard(exchange)
        for polls in sight.extension_polls.values():
            polls.discard(exchange)

    # Effects -----------------------------------------------------------------------------------------------------------------------------

    def _effect(self, effect: Effect, event: Event) -> None:
        match effect:
            case Answer():
                self._answer(effect, event)
            case Resolve() | StreamStart() | StreamChunk() | StreamEnd():
                self._invoker(effect)
            case StartEnvironment():
                assert effect.environment not in self._environments, f"{effect.environment} is started twice"
                self._environments[effect.environment] = _Sight()
            case Stopped():
                assert not self.stopped, "Stopped twice"
                self.stopped = True
                left = [name for name, sight in self._environments.items() if not sight.destroyed]
                assert not left, f"Stopped, and there are still {left}"
            case _ if isinstance(effect, _ORDERS):
                self._order(effect)

    def _order(self, effect: Effect) -> None:
        sight = self._environments[getattr(effect, "environment", "")]
        assert not sight.destroyed, f"{effect!r} for an environment that is destroyed"
        match effect:
            case StartProcess():
                assert sight.built, f"{effect!r} before the environment is built"
                assert effect.process not in sight.processes, f"{effect!r} while it runs"
                assert not sight.still, f"{effect!r} in a frozen environment"
                sight.processes.add(effect.process)
                if effect.gated:
                    sight.gated.add(effect.process)
            case OpenGate():
                assert effect.process in sight.gated, f"{effect!r} where there is no gate"
                sight.gated.discard(effect.process)
            case FreezeEnvironment():
                assert not sight.still, f"{effect!r} twice"
                assert sight.runtime_polls, f"{effect!r} while the runtime is at work"
                busy = [extension for extension, polls in sight.extension_polls.items() if not polls]
                assert not busy, f"{effect!r} while {busy} are at work"
                sight.still = True
            case ThawEnvironment():
                assert not sight.thawing, f"{effect!r} twice"
                sight.thawing = True
            case DestroyEnvironment():
                sight.destroyed = True

    def _answer(self, effect: Answer, event: Event) -> None:
        assert effect.exchange in self._asked, f"{effect!r}, and nobody asked"
        assert effect.exchange not in self._answered, f"exchange {effect.exchange} is answered twice: {effect!r}"
        self._answered.add(effect.exchange)
        for name, sight in self._environments.items():
            held = effect.exchange in sight.runtime_polls.union(*sight.extension_polls.values())
            self._release(sight, effect.exchange)
            if held and isinstance(effect.reply, NextInvocation | NextInvoke):
                assert not sight.still, f"{effect!r} is delivered to {name}, which is frozen"
            if held and isinstance(effect.reply, NextShutdown):
                assert not sight.still or sight.thawing, f"{effect!r} is sent to {name}, which is frozen and stays so"
            if held and isinstance(effect.reply, NextInvocation):
                request_id = effect.reply.request_id
                assert sight.delivered in (None, request_id), f"{name} gets {request_id} while it has {sight.delivered}"
                sight.delivered = request_id
        if isinstance(effect.reply, Registered):
            self._environments[getattr(event, "environment", "")].extension_polls[effect.reply.extension_id] = set()

    def _invoker(self, effect: Resolve | StreamStart | StreamChunk | StreamEnd) -> None:
        request_id = effect.request_id
        assert request_id in self._invoked, f"{effect!r}, and nobody invoked it"
        match effect:
            case Resolve():
                assert request_id not in self._resolved, f"{request_id} is answered twice: {effect!r}"
                assert request_id not in self._streams, f"{request_id} is streamed and answered: {effect!r}"
                self._resolved.add(request_id)
            case StreamStart():
                assert request_id not in self._resolved and request_id not in self._streams, f"{request_id} is answered twice: {effect!r}"
                self._streams[request_id] = False
            case StreamChunk() | StreamEnd():
                assert self._streams.get(request_id) is False, f"{effect!r} outside its stream"
                self._streams[request_id] = isinstance(effect, StreamEnd)
