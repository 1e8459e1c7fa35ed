"""Tests of the core as scripts of a dialogue: `>>` is what the world says, `<<` is what the fleet must answer.

    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1)
    )

Nothing happens before `assert` asks for the truth. Then the script is played, and after each event the fleet's effects must be those of
the script, all of them and in this order. A mismatch shows the two scripts as a diff. After each event the fleet must be valid and the
`Laws` must hold.

Environments are called E1, E2, ... in the order in which the fleet starts them; extensions have the identifier `id:<name>`. Timers,
records, state changes and the end of telemetry are left out unless `show` names their classes: timers are tested by what happens after
`wait`, states by `states`.

The form is that of mitmproxy's Playbook.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import ndiff
from random import Random
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from ..core.effects import Answer, CancelTimer, CloseTelemetry, Effect, Emit, Registered, SetTimer, StartEnvironment, Transition
from ..core.events import Event, ExtensionRegister, FunctionDeployed, TimerFired
from ..core.fleet import Fleet
from ..core.function import Function
from ..core.policy import Policy
from .builders import Like
from .laws import Laws

BEGINNING = 1_000_000_000.0
"""The epoch second at which every dialogue begins."""

E1, E2, E3, E4 = "E1", "E2", "E3", "E4"

_HIDDEN = (Emit, Transition, SetTimer, CancelTimer, CloseTelemetry)


class Wait(Struct, frozen=True):
    """Time passes; timers that become due fire, each at its time."""

    seconds: float


class States(Struct, frozen=True):
    """The states of environments, by their names."""

    states: dict[str, str]


def wait(seconds: float) -> Wait:
    """Let time pass, and timers fire."""
    return Wait(seconds)


def states(**names: str) -> States:
    """Where these environments stand now: `states(E1="frozen")`. An environment that is gone is `gone`."""
    return States(names)


class _Numbers(Random):
    """Ids that count, and a coin that always falls on its head: every `chance` above zero comes true."""

    def __init__(self) -> None:
        super().__init__(0)
        self._count = 0

    def getrandbits(self, _: int, /) -> int:
        self._count += 1
        return self._count

    def random(self) -> float:
        return 0.0


class Dialogue:
    """A script, played against a new fleet when its truth is asked for.

    The functions given are deployed first. `policy` keeps no spares unless a test says otherwise. `show` names effect classes that
    are hidden otherwise (Emit, Transition, SetTimer, CancelTimer, CloseTelemetry).
    """

    def __init__(self, *functions: Function, policy: Policy | None = None, show: Iterable[type[Effect]] = ()) -> None:
        self.fleet = Fleet(policy if policy is not None else Policy(spares=0), _Numbers())
        self.laws = Laws()
        self.now = BEGINNING
        self.effects: list[Effect] = []
        """Every effect so far, hidden ones too, with the script's names for environments."""
        self._hidden = tuple(kind for kind in _HIDDEN if kind not in tuple(show))
        self._steps: list[tuple[Event | Wait, list[Effect | Like | States]]] = []
        self._timers: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._played = 0
        self._expected: list[str] = []
        self._actual: list[str] = []
        for each in functions:
            self._steps.append((FunctionDeployed(each), []))

    def __rshift__(self, said: Event | Wait) -> Dialogue:
        self._steps.append((said, []))
        return self

    def __lshift__(self, answered: Effect | Like | States) -> Dialogue:
        if self._played == len(self._steps):
            raise ValueError(f"{_brief(answered)} is expected after nothing: begin with an event, or put it before the assert")
        self._steps[-1][1].append(answered)
        return self

    def __del__(self) -> None:
        if self._played < len(self._steps):
            raise RuntimeError(f"a dialogue was never asserted; its last step is {_brief(self._steps[-1][0])}")

    def __bool__(self) -> bool:
        """Play what has not been played. Raises AssertionError with a diff of the two scripts when they differ."""
        steps = self._steps[self._played :]
        self._played = len(self._steps)
        for said, expected in steps:
            line = f">> {_brief(said)}"
            self._expected.append(line)
            self._actual.append(line)
            try:
                effects = self._wait(said) if isinstance(said, Wait) else self._say(said)
            except Exception as error:
                error.add_note("after this dialogue:\n" + "\n".join(self._actual))
                raise
            self._compare(expected, effects)
        if self._expected != self._actual:
            # The lines that were expected and did not come are marked '-', those that came instead '+'.
            raise AssertionError("the dialogue took another course\n" + "\n".join(ndiff(self._expected, self._actual)))
        return True

    def texts(self) -> list[str]:
        """The log so far, as CloudWatch would show it."""
        return [effect.text for effect in self.effects if isinstance(effect, Emit) and effect.text is not None]

    def records(self, kind: str) -> list[Any]:
        """The telemetry records of one type so far."""
        return [effect.record for effect in self.effects if isinstance(effect, Emit) and effect.type == kind]

    # Playing -----------------------------------------------------------------------------------------------------------------------------

    def _compare(self, expected: list[Effect | Like | States], effects: list[Effect]) -> None:
        shown = [effect for effect in effects if not isinstance(effect, self._hidden)]
        wanted = [each for each in expected if not isinstance(each, States)]
        for index in range(max(len(shown), len(wanted))):
            actual = f"<< {_brief(shown[index])}" if index < len(shown) else None
            if index < len(wanted):
                line = f"<< {_brief(wanted[index])}"
                if actual is not None and wanted[index] == shown[index]:
                    actual = line
                self._expected.append(line)
            if actual is not None:
                self._actual.append(actual)
        known = {self._names[environment.id]: environment.state.value for environment in self.fleet.environments}
        for each in expected:
            if isinstance(each, States):
                self._expected.append(f"<< {each.states}")
                self._actual.append(f"<< { {name: known.get(name, 'gone') for name in each.states} }")

    def _wait(self, step: Wait) -> list[Effect]:
        end = self.now + step.seconds
        effects: list[Effect] = []
        while self._timers:
            timer, at = min(self._timers.items(), key=lambda item: item[1])
            if at > end:
                break
            del self._timers[timer]
            self.now = max(self.now, at)
            effects += self._handle(TimerFired(timer))
        self.now = end
        return effects

    def _say(self, event: Event) -> list[Effect]:
        return self._handle(cast("Event", _rename(event, self._ids)))

    def _handle(self, event: Event) -> list[Effect]:
        effects = self.fleet.handle(event, self.now)
        self.fleet.validate()
        self.laws.observe(event, effects)
        for effect in effects:
            self._remember(event, effect)
        renamed = [cast("Effect", _rename(effect, self._names)) for effect in effects]
        self.effects += renamed
        return renamed

    def _remember(self, event: Event, effect: Effect) -> None:
        match effect:
            case SetTimer(timer=timer, at=at):
                self._timers[timer] = at
            case CancelTimer(timer=timer):
                self._timers.pop(timer, None)
            case StartEnvironment(environment=environment):
                self._name(environment, f"E{sum(1 for name in self._names.values() if name.startswith('E')) + 1}")
            case Answer(reply=Registered(extension_id=extension_id)) if isinstance(event, ExtensionRegister):
                self._name(extension_id, f"id:{event.name}")

    def _name(self, real: str, name: str) -> None:
        self._names[real] = name
        self._ids[name] = real


def _rename(value: object, names: dict[str, str]) -> object:
    """The same value with other names. Real ids are long enough to be found inside longer strings too: a log stream, a record."""
    match value:
        case str():
            if value in names:
                return names[value]
            for name, other in names.items():
                if len(name) >= 32:
                    value = value.replace(name, other)
            return value
        case dict():
            return {key: _rename(each, names) for key, each in value.items()}
        case list() | tuple():
            return type(value)(_rename(each, names) for each in value)
        case Function():
            return value
        case Struct():
            return replace(value, **{name: _rename(getattr(value, name), names) for name in value.__struct_fields__})
        case _:
            return value


def _brief(value: object) -> str:
    """A struct as a test would write it: without the fields that have their defaults."""
    if not isinstance(value, Struct):
        return repr(value)
    fields = []
    defaults = dict(zip(reversed(value.__struct_fields__), reversed(value.__struct_defaults__), strict=False))
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name not in defaults or field != defaults[name]:
            fields.append(f"{name}={_brief(field)}")
    return f"{type(value).__name__}({', '.join(fields)})"
