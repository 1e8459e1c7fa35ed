"""What came of one invocation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ..render.words import duration, ends_kept, short
from ..trials.doctor.baseline import failure
from ..trials.trial import Invoked

ERROR_CHARACTERS = 300
"""Of an error in a `repr`, which pytest prints for a failed assertion."""


class Invocation(Struct, frozen=True, kw_only=True):
    """One invocation, and what the function answered."""

    request_id: str
    """As the function saw it."""
    payload: Any
    """What it answered, decoded where it is JSON; where it failed, Lambda's object with `errorType`, `errorMessage` and `stackTrace`."""
    error: str | None
    """Why it failed, in the words of the function: `ConnectionResetError: [Errno 104] Connection reset by peer`. None where it did not."""
    error_type: str | None
    """`ConnectionResetError`, or Lambda's own: `Sandbox.Timedout`, `Runtime.ExitError`. None where it did not fail, or said none."""
    log: tuple[str, ...]
    """The lines that the function printed meanwhile."""
    duration: float
    """From the call until the environment was done with it, in seconds."""

    @property
    def ok(self) -> bool:
        """It did not fail. A function behind an API that answers `{"statusCode": 502}` has failed its caller: from 500 on that counts, too."""
        return self.error is None

    @property
    def told(self) -> str:
        """In a line, for a person: `failed after 4.5 ms, ConnectionResetError: ...`."""
        if self.error is None:
            return f"ok after {duration(self.duration)}"
        return f"failed after {duration(self.duration)}, {ends_kept(self.error, ERROR_CHARACTERS)}"

    def __repr__(self) -> str:
        return f"<Invocation {short(self.request_id)}: {self.told}>"


def invocation(invoked: Invoked, log: Sequence[str]) -> Invocation:
    """The result for whoever invoked."""
    payload = invoked.answer
    kind = payload.get("errorType") if invoked.failed and isinstance(payload, dict) else None
    return Invocation(
        request_id=invoked.request_id,
        payload=payload,
        error=failure(invoked),
        error_type=None if kind is None else str(kind),
        log=tuple(log),
        duration=invoked.end - invoked.begin,
    )
