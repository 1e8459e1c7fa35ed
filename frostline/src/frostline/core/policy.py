"""What the operator decides: when to freeze, when to reclaim, what to keep ready. Durations are seconds."""

from __future__ import annotations

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """Limits and delays of a fleet, the same for all its functions."""

    freeze: bool = True
    """False: environments are never frozen (level `off`), for comparison."""

    freeze_delay_s: float = 0.001
    """How long an environment must have been idle before it is frozen.

    A freeze and the thaw after it cost some 0.3 ms together (measured: 0.1 ms and 0.2 ms at the median, idle runtimes). Waiting about as long as the cycle
    costs is the break-even rule of ski rental: back-to-back invocations never pay for a freeze that could not have finished, and an idle environment
    is frozen as soon as that is clear. Zero freezes at once; larger values imitate a platform that is slow to freeze."""

    freeze_retry_s: float = 1.0
    """After a freeze that failed, how long until the next attempt."""

    init_timeout_s: float = 10.0
    """AWS: "The Init phase is limited to 10 seconds." """

    idle_timeout_s: float = 2400.0
    """An environment idle for longer is reclaimed. AWS gives no number ("some time"); 40 minutes and more have been seen."""

    patience_s: float = 0.1
    """How long an invocation waits for an environment that has answered its caller but not finished, before another one is started for it.
    A caller that invokes again at once arrives some 0.1 ms before the runtime asks for its next event, and much earlier on a busy machine; on AWS the
    network hides this race. The start of another environment takes about as long as this, so that who waits in vain loses little."""

    chaos: float = 0.0
    """Probability (0 to 1) that an environment is reclaimed after an invocation: nobody may depend on reuse."""

    spares: int = 4
    """Functions for which one prepared environment is kept: sandbox built, runtime process started, none of the function's code run. 0: none."""

    spare_delay_s: float = 0.25
    """A used spare is replaced this long after the last invocation arrived, so that preparing does not compete with it."""

    shutdown_external_s: float = 2.0
    shutdown_internal_s: float = 0.5
    """AWS: 2,000 ms with a registered external extension, 500 ms with internal ones only, 0 ms with none."""

    shutdown_runtime_share: float = 0.3
    """The part of the budget that the runtime has between SIGTERM and SIGKILL (RIE: runtimeDeadlineShare)."""

    retry_delay_s: float = 60.0
    """Asynchronous invocations: AWS waits one minute before the second attempt, two before the third."""

    throttle_retry_s: float = 1.0
    """Asynchronous invocations that found no concurrency left: first pause; it doubles up to `throttle_retry_max_s` (AWS: 1 s to 5 min)."""

    throttle_retry_max_s: float = 300.0
