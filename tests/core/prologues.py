"""How dialogues begin: the steps that many tests share."""

from __future__ import annotations

import msgspec

from frostline.core.effects import Accepted, FreezeEnvironment, FunctionFailed, NextInvoke, Registered, Succeeded
from frostline.core.events import EnvironmentFrozen, EnvironmentStarted, ExtensionNext, ExtensionRegister, RuntimeNext
from frostline.core.function import Function
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, Dialogue, states, wait

NO_FREEZE = Policy(spares=0, freeze=False)


def initializing(*functions: Function, policy: Policy | None = None) -> Dialogue:
    """E1 initializes for invocation `a`: its runtime process runs."""
    dialogue = Dialogue(*(functions or (function(),)), policy=policy)
    return dialogue >> invocation("a") << starts(E1) >> EnvironmentStarted(E1) << runs(E1)


def busy(*functions: Function, policy: Policy | None = None) -> Dialogue:
    """E1 serves invocation `a`."""
    return initializing(*functions, policy=policy) >> RuntimeNext(E1, 1) << delivers(1, "a") << states(E1="busy")


def idle(*functions: Function, policy: Policy | None = None) -> Dialogue:
    """E1 has served `a` and is idle: its runtime waits on exchange 3."""
    dialogue = busy(*functions, policy=policy) >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted)
    return dialogue >> RuntimeNext(E1, 3) << states(E1="idle")


def freezing(*functions: Function, policy: Policy | None = None) -> Dialogue:
    """E1 has served `a` and its freeze is under way: its runtime waits on exchange 3."""
    return idle(*functions, policy=policy) >> wait(0.01) << FreezeEnvironment(E1) << states(E1="freezing")


def frozen(*functions: Function, policy: Policy | None = None) -> Dialogue:
    """E1 has served `a` and is frozen: its runtime waits on exchange 3."""
    return freezing(*functions, policy=policy) >> EnvironmentFrozen(E1) << states(E1="frozen")


LOGGER = "extension:logger"
EVENTS = ("INVOKE", "SHUTDOWN")


def with_extension(**configuration: object) -> Function:
    """A function with one external extension, `logger`."""
    return function(extensions=("logger",), **configuration)


def registered(*, events: tuple[str, ...] = EVENTS, policy: Policy | None = None) -> Dialogue:
    """E1 initializes for `a`; its external extension has registered, and the runtime process runs."""
    dialogue = Dialogue(with_extension(), policy=policy) >> invocation("a") << starts(E1)
    dialogue = dialogue >> EnvironmentStarted(E1) << runs(E1, LOGGER)
    return (
        dialogue >> ExtensionRegister(E1, 10, name="logger", events=events) << answers(10, Registered, extension_id="id:logger") << runs(E1)
    )


def extended_busy(*, events: tuple[str, ...] = EVENTS, policy: Policy | None = None) -> Dialogue:
    """E1 serves `a` with an external extension, which the runtime's /next waited for."""
    dialogue = registered(events=events, policy=policy) >> RuntimeNext(E1, 1) << states(E1="initializing")
    dialogue = dialogue >> ExtensionNext(E1, 11, extension_id="id:logger") << delivers(1, "a")
    return dialogue << answers(11, NextInvoke, request_id="a") if "INVOKE" in events else dialogue


def extended_idle(*, events: tuple[str, ...] = EVENTS, policy: Policy | None = None) -> Dialogue:
    """E1 has served `a` with an external extension and is idle: the runtime waits on 3, the extension on 12 (on 11 without INVOKE)."""
    dialogue = extended_busy(events=events, policy=policy) >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted)
    dialogue = dialogue >> RuntimeNext(E1, 3)
    if "INVOKE" in events:
        dialogue = dialogue >> ExtensionNext(E1, 12, extension_id="id:logger")
    return dialogue << states(E1="idle")


def extended_frozen(*, events: tuple[str, ...] = EVENTS, policy: Policy | None = None) -> Dialogue:
    """The same, frozen."""
    dialogue = extended_idle(events=events, policy=policy) >> wait(0.01) << FreezeEnvironment(E1)
    return dialogue >> EnvironmentFrozen(E1) << states(E1="frozen")


def failure(dialogue: Dialogue, request_id: str) -> object:
    """The payload, decoded, that an invoker got for an invocation that failed."""
    for effect in dialogue.effects:
        if effect == resolves(request_id, FunctionFailed):
            return msgspec.json.decode(effect.outcome.payload.data)
    raise AssertionError(f"{request_id} has not failed")
