"""The Extensions and Telemetry APIs: registration, next, errors, subscriptions."""

from __future__ import annotations

import pytest

from frostline.core.effects import (
    Accepted,
    Answer,
    FunctionFailed,
    KillProcesses,
    NextInvoke,
    OpenTelemetry,
    Refused,
    Registered,
    SignalProcess,
    Subscribed,
    Succeeded,
)
from frostline.core.events import (
    EnvironmentStarted,
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionNext,
    ExtensionRegister,
    Logged,
    ProcessesKilled,
    ProcessExited,
    RuntimeNext,
    Subscription,
    TelemetrySubscribe,
)
from frostline.core.members import MAX_EXTENSIONS
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import BEGINNING, E1, Dialogue, states, wait

from .prologues import LOGGER, NO_FREEZE, busy, extended_busy, extended_idle, failure, initializing, registered, with_extension

SUBSCRIPTION = Subscription(protocol="HTTP", port=8080, types=("platform", "function"))


def register(name: str, exchange: int = 10, events: tuple[str, ...] = ("INVOKE",), **fields: object) -> ExtensionRegister:
    """A registration."""
    return ExtensionRegister(E1, exchange, name=name, events=events, **fields)


def test_external_extensions_start_and_register_before_the_runtime() -> None:
    """RIE's order: all are started, all register, then the runtime starts."""
    assert (
        Dialogue(function(extensions=("one", "two")))
        >> invocation("a")
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1, "extension:one")
        << runs(E1, "extension:two")
        >> register("two", 10)
        << answers(10, Registered)
        >> register("one", 11, account_id_wanted=True)
        << Answer(
            11,
            Registered(
                extension_id="id:one", function_name="f", function_version="$LATEST", handler="app.handler", account_id="123456789012"
            ),
        )
        << runs(E1)
    )


def test_the_init_is_done_when_runtime_and_extensions_wait() -> None:
    """In whatever order they ask."""
    assert (
        registered()
        >> ExtensionNext(E1, 11, extension_id="id:logger")
        << states(E1="initializing")
        >> RuntimeNext(E1, 1)
        << delivers(1, "a")
        << answers(11, NextInvoke)
        << states(E1="busy")
    )


def test_the_invoke_event() -> None:
    """What AWS tells an extension; without INVOKE it is told nothing."""
    assert (
        registered()
        >> RuntimeNext(E1, 1)
        >> ExtensionNext(E1, 11, extension_id="id:logger")
        << delivers(1, "a")
        << answers(
            11,
            NextInvoke,
            request_id="a",
            deadline_ms=int((BEGINNING + 3) * 1000),
            function_arn="arn:aws:lambda:us-east-1:123456789012:function:f",
            trace_id=None,
        )
    )
    assert extended_busy(events=("SHUTDOWN",)) >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted)


def test_an_extension_without_invoke_does_not_hold_the_invocation() -> None:
    """It waits in next all the time."""
    assert extended_idle(events=("SHUTDOWN",)) << states(E1="idle")


def test_the_invocation_ends_when_the_extension_is_done() -> None:
    """The invoker has its answer; the next invocation waits for the extension, up to the patience with it."""
    assert (
        extended_busy(policy=NO_FREEZE)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << states(E1="busy")
        >> invocation("b")
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << delivers(3, "b")
        << answers(12, NextInvoke, request_id="b")
    )


def test_an_extension_that_does_not_come_back_times_the_invocation_out() -> None:
    """AWS: the timeout covers the runtime and all extensions; the invoker keeps its answer."""
    dialogue = (
        extended_busy() >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted) >> RuntimeNext(E1, 3) >> wait(3.0)
    )
    assert dialogue << SignalProcess(environment=E1, process="runtime", signal="SIGTERM") << states(E1="resetting")
    assert dialogue.texts()[-1].endswith("Status: timeout")
    assert len(dialogue.records("platform.runtimeDone")) == 1


REGISTRATIONS = {
    "unknown event": (register("x", events=("SLEEP",)), "Extension.InvalidEventType", "SLEEP: InvalidEventType"),
    "internal with SHUTDOWN": (
        register("x", events=("SHUTDOWN",)),
        "Extension.InvalidEventType",
        "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
    ),
}


@pytest.mark.parametrize(("event", "error_type", "message"), REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_a_registration_that_is_refused(event: ExtensionRegister, error_type: str, message: str) -> None:
    """403, with RIE's words."""
    assert initializing() >> event << Answer(10, Refused(status=403, error_type=error_type, message=message))


def test_an_internal_extension_registers_while_the_runtime_starts() -> None:
    """It lives in the runtime's process, and the init waits for its next."""
    assert (
        initializing()
        >> register("inner")
        << answers(10, Registered, extension_id="id:inner", account_id=None)
        >> RuntimeNext(E1, 1)
        << states(E1="initializing")
        >> ExtensionNext(E1, 11, extension_id="id:inner")
        << delivers(1, "a")
        << answers(11, NextInvoke)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> ExtensionNext(E1, 12, extension_id="id:inner")
        << states(E1="busy")
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )


def test_registration_closes_when_the_runtime_asks_for_its_first_event() -> None:
    """AWS: extensions register during the init."""
    assert busy() >> register("late") << answers(10, Refused, status=403, error_type="Extension.RegistrationClosed")


def test_no_more_than_ten_extensions() -> None:
    """AWS's limit counts external and internal ones."""
    dialogue = registered()
    for number in range(MAX_EXTENSIONS - 1):
        dialogue = dialogue >> register(f"x{number}", 20 + number) << answers(20 + number, Registered)
    assert dialogue >> register("eleven", 40) << answers(40, Refused, status=403, error_type="Extension.TooManyExtensions")


def test_a_name_registers_once() -> None:
    """An external one and an internal one."""
    dialogue = registered() >> register("logger", 20) << answers(20, Refused, error_type="Extension.InvalidExtensionState")
    dialogue = dialogue >> register("inner", 21) << answers(21, Registered)
    assert dialogue >> register("inner", 22) << answers(22, Refused, error_type="Extension.InvalidExtensionState")


def test_an_unknown_identifier_is_refused() -> None:
    """On every path that takes one."""
    unknown = Refused(status=403, error_type="Extension.UnknownExtensionIdentifier", message="Unknown extension nobody")
    assert (
        registered()
        >> ExtensionNext(E1, 20, extension_id="nobody")
        << Answer(20, unknown)
        >> ExtensionInitFailed(E1, 21, extension_id="nobody", error_type="E")
        << Answer(21, unknown)
        >> ExtensionExitFailed(E1, 22, extension_id="nobody", error_type="E")
        << Answer(22, unknown)
        >> TelemetrySubscribe(E1, 23, extension_id="nobody", subscription=SUBSCRIPTION)
        << Answer(23, unknown)
    )


def test_a_second_next_while_one_waits_is_refused() -> None:
    """As in RIE: Ready does not lead to Ready."""
    assert (
        registered()
        >> ExtensionNext(E1, 11, extension_id="id:logger")
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << answers(12, Refused, status=403, error_type="Extension.InvalidExtensionState")
    )


def test_an_init_error_of_an_extension_fails_the_init() -> None:
    """Accepted, then the reset; the second time the invoker reads it."""
    dialogue = (
        Dialogue(with_extension())
        >> invocation("a")
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1, LOGGER)
        >> register("logger")
        << answers(10, Registered)
        << runs(E1)
        >> ExtensionInitFailed(E1, 11, extension_id="id:logger", error_type="Logger.NoConfig")
        << answers(11, Accepted)
    )

    dialogue = (
        dialogue
        << SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
        << states(E1="resetting")
        >> exited(E1, signal=15)
        << SignalProcess(environment=E1, process=LOGGER, signal="SIGKILL")
        >> exited(E1, LOGGER, signal=9)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1, LOGGER)
        >> register("logger", 12)
        << answers(12, Registered)
        << runs(E1)
        >> ExtensionInitFailed(E1, 13, extension_id="id:logger", error_type="Logger.NoConfig")
        << answers(13, Accepted)
        << resolves("a", FunctionFailed)
        << SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
    )
    assert dialogue
    assert failure(dialogue, "a") == {"errorType": "Extension.InitError", "errorMessage": "RequestId: a Error: Logger.NoConfig"}
    assert "EXTENSION\tName: logger\tState: InitError\tEvents: [INVOKE]\tError Type: Logger.NoConfig" in dialogue.texts()


def test_an_extension_that_ends_during_the_init_crashes_it() -> None:
    """Also with status 0: an extension lives as long as its environment."""
    dialogue = registered() >> exited(E1, LOGGER, status=0)
    assert dialogue << SignalProcess(environment=E1, process="runtime", signal="SIGTERM") << states(E1="resetting")
    [report] = dialogue.records("platform.initReport")
    assert (report["status"], report["errorType"]) == ("error", "Extension.Crash")
    assert "Status: error\tError Type: Extension.Crash" in dialogue.texts()[-1]


def test_an_extension_that_cannot_be_executed_fails_the_init() -> None:
    """`Extension.LaunchError`."""
    dialogue = (
        Dialogue(with_extension())
        >> invocation("a")
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1, LOGGER)
        >> ProcessExited(E1, process=LOGGER, error="fork/exec /opt/extensions/logger: permission denied")
        << KillProcesses(E1)
    )
    assert dialogue
    assert dialogue.records("platform.initReport")[0]["errorType"] == "Extension.LaunchError"


@pytest.mark.parametrize("how", ["exit error", "crash"])
def test_an_extension_that_ends_during_an_invocation_fails_it(how: str) -> None:
    """The invoker reads whose fault it was."""
    dialogue = extended_busy()
    if how == "crash":
        dialogue = dialogue >> exited(E1, LOGGER, status=2)
        expected = {"errorType": "Extension.Crash", "errorMessage": "RequestId: a Error: exit status 2"}
    else:
        dialogue = dialogue >> ExtensionExitFailed(E1, 12, extension_id="id:logger", error_type="Logger.Full") << answers(12, Accepted)
        expected = {"errorType": "Extension.ExitError", "errorMessage": "RequestId: a Error: Logger.Full"}
    dialogue = dialogue << resolves("a", FunctionFailed) << SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
    assert dialogue
    assert failure(dialogue, "a") == expected


def test_an_exit_error_is_accepted_twice_and_counts_once() -> None:
    """The reset is under way."""
    assert (
        extended_busy()
        >> ExtensionExitFailed(E1, 12, extension_id="id:logger", error_type="E")
        << answers(12, Accepted)
        << resolves("a", FunctionFailed)
        << SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
        >> ExtensionExitFailed(E1, 13, extension_id="id:logger", error_type="E")
        << answers(13, Accepted)
    )


def test_a_telemetry_subscription() -> None:
    """During the init: 200, and its delivery begins with the environment's first event."""
    dialogue = (
        registered()
        >> TelemetrySubscribe(E1, 11, extension_id="id:logger", subscription=SUBSCRIPTION)
        << OpenTelemetry(environment=E1, extension_name="logger", subscription=SUBSCRIPTION)
        << Answer(11, Subscribed())
    )
    assert dialogue
    assert dialogue.texts()[-1] == "TELEMETRY\tName: logger\tState: Subscribed\tTypes: [Platform, Function]"
    assert dialogue.records("platform.telemetrySubscription") == [
        {"name": "logger", "state": "Subscribed", "types": ["platform", "function"]}
    ]


@pytest.mark.parametrize(("api", "error_type"), [("telemetry", "Telemetry.SubscriptionClosed"), ("logs", "Logs.SubscriptionClosed")])
def test_a_telemetry_subscription_after_the_init_is_closed(api: str, error_type: str) -> None:
    """AWS: during the initialization phase only."""
    late = Subscription(protocol="TCP", port=8080, api=api)
    assert (
        extended_busy()
        >> TelemetrySubscribe(E1, 20, extension_id="id:logger", subscription=late)
        << answers(20, Refused, status=403, error_type=error_type)
    )


def test_what_an_extension_logs_is_an_extension_record() -> None:
    """With the request id of the invocation that it belongs to."""
    dialogue = extended_busy(policy=Policy(spares=0)) >> Logged(environment=E1, process=LOGGER, text="sent")
    assert dialogue
    assert dialogue.records("extension") == ["sent"]
