"""What became of connections: counters for an exporter, and one structured line per thaw when anything was probed or discarded."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .._core.judging import Verdict

LOGGER = "thawsafe"
"""The logger's name. A line is logged at INFO; its fields are in the record's attribute `thaw`."""

MOST_NOTES = 20
"""Connections that one line tells of; more are in its sums only. A thaw touches the connections that it needs, seldom more than a handful."""


class Note(NamedTuple):
    """What was decided about one connection that was not simply reused."""

    client: str
    peer: str
    action: str
    """`discard`, or `probe` for one that answered and was reused."""
    reason: str
    idle: float
    freeze: str
    seconds: float
    """How long the probe took; 0 without one."""

    def as_dict(self) -> dict[str, str | float]:
        """For JSON, with times in milliseconds where they are short."""
        return {
            "client": self.client,
            "peer": self.peer,
            "action": self.action,
            "reason": self.reason,
            "idle_s": round(self.idle, 3),
            "freeze": self.freeze,
            "probe_ms": round(self.seconds * 1000, 3),
        }


class Thaw:
    """What was decided in one invocation, or since whatever else began."""

    def __init__(self, request_id: str | None = None) -> None:
        self._request_id = request_id
        self._notes: list[Note] = []
        self._discarded = 0
        self._probed = 0
        self._idle = 0.0
        self._seconds = 0.0

    def add(self, note: Note) -> None:
        """One connection more."""
        if note.action == "discard":
            self._discarded += 1
        else:
            self._probed += 1
        self._idle = max(self._idle, note.idle)
        self._seconds += note.seconds
        if len(self._notes) < MOST_NOTES:
            self._notes.append(note)

    def log(self) -> None:
        """The line, if there is anything to tell."""
        if not self._notes:
            return
        import json  # both cost more to import than all of thawsafe, and a function that is never frozen needs neither
        import logging

        line: dict[str, Any] = {
            "event": "thaw",
            "request_id": self._request_id,
            "discarded": self._discarded,
            "probed": self._probed,
            "idle_s": round(self._idle, 3),
            "probe_ms": round(self._seconds * 1000, 3),
            "connections": [note.as_dict() for note in self._notes],
        }
        logging.getLogger(LOGGER).info("%s", json.dumps({"thawsafe": line}), extra={"thaw": line})


class Journal:
    """Counts and notes. Threads may share it; a process has one, `JOURNAL`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {}
        self._thaw: Thaw | None = None

    def counters(self) -> dict[str, int]:
        """How often what happened since the process began.

        `opened`; `kept` (judged, and reused); `probed` (asked, and reused); `discarded`, and one `discarded_<reason>` for each reason seen;
        `died` (while a request was under way); `restored`, if it was. Connections that were used or judged within the last half second are
        reused without being judged, and not counted. A process that came out of a fork goes on with its parent's counts.
        """
        with self._lock:
            return {"opened": 0, "kept": 0, "probed": 0, "discarded": 0, "died": 0} | self._counters

    def count(self, name: str) -> None:
        """One more."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + 1

    def verdict(self, client: str, peer: str, verdict: Verdict, seconds: float = 0.0) -> None:
        """A connection was judged, and its probe, if any, took so many seconds."""
        if verdict.action == "keep":
            self.count("kept")
            return
        self.count("probed" if verdict.action == "probe" else "discarded")
        if verdict.action == "discard":
            self.count(f"discarded_{verdict.reason}")
        self._note(Note(client, peer, verdict.action, verdict.reason, verdict.idle, verdict.freeze, seconds))

    def _note(self, note: Note) -> None:
        with self._lock:
            thaw = self._thaw
            if thaw is not None:
                thaw.add(note)
        # Without a marked invocation nobody says where a thaw ends, so each connection has a line of its own. What went without a
        # freeze is everyday pool keeping: counted, not told.
        if thaw is None and note.freeze != "none":
            alone = Thaw()
            alone.add(note)
            alone.log()

    def invocation_began(self, request_id: str | None) -> None:
        """What is decided from now on belongs to this invocation."""
        with self._lock:
            self._thaw = Thaw(request_id)

    def invocation_ended(self) -> None:
        """Writes the invocation's line, if there is anything to tell."""
        with self._lock:
            thaw, self._thaw = self._thaw, None
        if thaw is not None:
            thaw.log()

    def forked(self) -> None:
        """This process came out of a fork: a thread that held the lock is not in it."""
        self._lock = threading.Lock()


JOURNAL = Journal()

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=JOURNAL.forked)


def counters() -> dict[str, int]:
    """What became of this process's judged connections so far, for an exporter: see `Journal.counters`."""
    return JOURNAL.counters()
