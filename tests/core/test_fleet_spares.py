"""Spares: one prepared environment per function, its runtime process at the gate and none of the function's code run."""

from __future__ import annotations

from frostline.core.effects import (
    Accepted,
    DestroyEnvironment,
    FreezeEnvironment,
    KillProcesses,
    OpenGate,
    Refused,
    Registered,
    SignalProcess,
    Stopped,
    Succeeded,
    ThawEnvironment,
)
from frostline.core.events import (
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    ExtensionRegister,
    FunctionDeployed,
    ProcessExited,
    ProvisionRequested,
    RuntimeNext,
    ShutdownRequested,
)
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, E3, Dialogue, states, wait

from .prologues import with_extension

SPARES = Policy(spares=4, freeze=False)
GATE = OpenGate(environment=E1, process="runtime")


def prepared(policy: Policy = SPARES, **configuration: object) -> Dialogue:
    """E1 is prepared."""
    dialogue = Dialogue(policy=policy) >> FunctionDeployed(function(**configuration)) << starts(E1)
    return dialogue >> EnvironmentStarted(E1) << runs(E1, gated=True) << states(E1="prepared")


def used() -> Dialogue:
    """E1 was prepared and has served `a`."""
    dialogue = prepared() >> invocation("a") << GATE >> RuntimeNext(E1, 1) << delivers(1, "a") >> responded(E1, 2, "a")
    return dialogue << resolves("a", Succeeded) << answers(2, Accepted) >> RuntimeNext(E1, 3) << states(E1="idle")


def test_a_deployed_function_gets_a_spare() -> None:
    """Nothing of the function runs, and it may stay so for ever."""
    assert prepared() >> wait(100_000) << states(E1="prepared")


def test_the_first_invocation_opens_the_gate() -> None:
    """Its init begins there: the spare's age is no part of it."""
    dialogue = prepared() >> wait(60) >> invocation("a") << GATE << states(E1="initializing") >> wait(0.25) >> RuntimeNext(E1, 1)
    dialogue = dialogue << delivers(1, "a")
    assert dialogue
    assert dialogue.records("platform.initReport")[0]["metrics"] == {"durationMs": 250.0}


def test_a_spare_that_is_still_being_built_is_taken() -> None:
    """It then starts as any other: no gate."""
    assert (
        Dialogue(policy=SPARES)
        >> FunctionDeployed(function())
        << starts(E1)
        >> invocation("a")
        >> EnvironmentStarted(E1)
        << runs(E1)
        << states(E1="initializing")
    )


def test_a_second_invocation_starts_another() -> None:
    """There is one spare."""
    assert prepared() >> invocation("a") << GATE >> invocation("b") << starts(E2)


def test_a_used_spare_is_replaced_when_it_is_quiet() -> None:
    """After the last arrival, so that preparing does not compete with serving."""
    assert (
        used()
        >> wait(0.2)
        >> invocation("b")
        << delivers(3, "b")
        >> responded(E1, 4, "b")
        << resolves("b", Succeeded)
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        >> wait(0.2)
        << states(E1="idle")
        >> wait(0.1)
        << starts(E2)
        >> EnvironmentStarted(E2)
        << runs(E2, gated=True)
        >> wait(60)
        << states(E1="idle", E2="prepared")
    )


def test_a_spare_does_not_count_against_the_concurrency() -> None:
    """It runs nothing, and is there to be used."""
    assert prepared(concurrency=1) >> invocation("a") << GATE >> RuntimeNext(E1, 1) << delivers(1, "a")


def test_no_spare_for_a_function_that_is_switched_off() -> None:
    """Concurrency 0."""
    assert Dialogue(policy=SPARES) >> FunctionDeployed(function(concurrency=0))


def test_no_spares_at_all() -> None:
    """`spares=0`."""
    assert Dialogue(policy=Policy(spares=0)) >> FunctionDeployed(function()) >> wait(10)


def test_new_code_replaces_the_spare() -> None:
    """It has imported nothing, but it stands on the old code."""
    assert (
        prepared()
        >> FunctionDeployed(function(revision="2"))
        << DestroyEnvironment(E1)
        << starts(E2, revision="2")
        >> EnvironmentGone(E1)
        << states(E1="gone", E2="starting")
    )


def test_spares_are_bound_over_all_functions() -> None:
    """The function that was invoked longest ago gives its spare up."""
    assert (
        Dialogue(policy=Policy(spares=1, freeze=False))
        >> FunctionDeployed(function("f"))
        << starts(E1, function="f")
        >> FunctionDeployed(function("g"))
        >> EnvironmentStarted(E1)
        << runs(E1, gated=True)
        >> invocation("a", "g")
        << starts(E2, function="g")
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 1)
        << delivers(1, "a")
        >> responded(E2, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E2, 3)
        >> wait(1)
        << DestroyEnvironment(E1)
        << starts(E3, function="g")
    )


def test_a_spare_that_cannot_be_built_is_not_tried_again() -> None:
    """Until the function is deployed anew; invocations start environments of their own."""
    assert (
        Dialogue(policy=SPARES)
        >> FunctionDeployed(function())
        << starts(E1)
        >> EnvironmentStartFailed(E1, "no")
        >> wait(60)
        >> invocation("a")
        << starts(E2)
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 1)
        << delivers(1, "a")
        >> responded(E2, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E2, 3)
        >> wait(60)
        >> FunctionDeployed(function(revision="2"))
        << DestroyEnvironment(E2)
        << starts(E3)
    )


def test_a_spare_that_crashes_is_not_tried_again() -> None:
    """A runtime that ends before its gate would do so every time."""
    assert (
        prepared()
        >> exited(E1, status=1)
        << DestroyEnvironment(E1)
        << states(E1="stopping")
        >> EnvironmentGone(E1)
        >> wait(60)
        >> invocation("a")
        << starts(E2)
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 1)
        << delivers(1, "a")
        >> responded(E2, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E2, 3)
        >> wait(60)
        << states(E2="idle")
    )


def test_an_old_spare_that_fails_late_does_not_spoil_the_new_one() -> None:
    """The failure belongs to its revision."""
    assert (
        prepared()
        >> FunctionDeployed(function(revision="2"))
        << DestroyEnvironment(E1)
        << starts(E2)
        >> ProcessExited(E1, process="runtime", signal=9)
        >> EnvironmentGone(E1)
        >> invocation("a")
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 1)
        << delivers(1, "a")
        >> responded(E2, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E2, 3)
        >> wait(1)
        << starts(E3)
    )


def test_a_spare_says_nothing_before_its_gate_is_open() -> None:
    """What it asks for is refused, and its init is not taken for done."""
    assert (
        prepared()
        >> RuntimeNext(E1, 1)
        << answers(1, Refused, status=403)
        >> invocation("a")
        << GATE
        >> RuntimeNext(E1, 2)
        << delivers(2, "a")
    )


def test_with_extensions_the_gate_opens_when_they_have_registered() -> None:
    """RIE's order holds for spares too."""
    assert (
        Dialogue(policy=SPARES)
        >> FunctionDeployed(with_extension())
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1, gated=True)
        >> invocation("a")
        << runs(E1, "extension:logger")
        << states(E1="initializing")
        >> ExtensionRegister(E1, 10, name="logger", events=())
        << answers(10, Registered)
        << GATE
    )


def test_a_spare_whose_gate_is_closed_crashes_during_its_init() -> None:
    """While extensions register: an init error like any other."""
    assert (
        Dialogue(policy=SPARES)
        >> FunctionDeployed(with_extension())
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1, gated=True)
        >> invocation("a")
        << runs(E1, "extension:logger")
        >> exited(E1, status=1)
        << SignalProcess(environment=E1, process="extension:logger", signal="SIGKILL")
        >> exited(E1, "extension:logger", signal=9)
        << KillProcesses(E1)
    )


def test_spares_end_with_everything_else() -> None:
    """Nothing is left."""
    assert prepared() >> ShutdownRequested() << DestroyEnvironment(E1) >> EnvironmentGone(E1) << Stopped()


def test_an_environment_that_is_provisioned_is_initialized_and_frozen() -> None:
    """Nobody has invoked it; the first invocation finds it frozen."""
    dialogue = Dialogue(function(), policy=Policy(spares=0)) >> ProvisionRequested("f") << starts(E1) >> EnvironmentStarted(E1) << runs(E1)
    dialogue = dialogue >> RuntimeNext(E1, 1) << states(E1="idle") >> wait(0.01) << FreezeEnvironment(E1) >> EnvironmentFrozen(E1)
    assert dialogue >> invocation("a") << ThawEnvironment(E1) >> EnvironmentThawed(E1) << delivers(1, "a") << states(E1="busy")


def test_a_prepared_environment_is_provisioned_first() -> None:
    """It has the sandbox already."""
    assert prepared() >> ProvisionRequested("f") << GATE << states(E1="initializing")


def test_no_more_is_provisioned_than_may_work() -> None:
    """Nor for a function that is not there."""
    dialogue = Dialogue(function(concurrency=1), policy=Policy(spares=0)) >> ProvisionRequested("f") << starts(E1)
    assert dialogue >> ProvisionRequested("f") >> ProvisionRequested("g") << states(E1="starting")
