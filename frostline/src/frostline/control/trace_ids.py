"""X-Ray's trace ids. Lambda gives every invocation one, traced or not, and functions hand it on to what they call."""

from __future__ import annotations

from random import Random, SystemRandom


class TraceIds:
    """New trace headers, as functions find them in `_X_AMZN_TRACE_ID`.

    `Sampled=0` is what AWS sends to a function whose tracing mode is `PassThrough`. Source: X-Ray's developer guide, "Tracing header", and headers printed
    by functions on AWS.
    """

    def __init__(self) -> None:
        # Not a secret, and `uuid` or `secrets` would take longer than all else an invocation costs here.
        self._bits = Random(SystemRandom().getrandbits(128)).getrandbits

    def __call__(self, now: float) -> str:
        """A new one; `now` is epoch seconds."""
        bits = self._bits
        return f"Root=1-{int(now):08x}-{bits(96):024x};Parent={bits(64):016x};Sampled=0;Lineage=1:{bits(32):08x}:0"
