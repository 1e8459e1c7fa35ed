"""Platform records and log lines, as the Telemetry API and CloudWatch show them.

Every function here returns one `Emit`: the Telemetry API's `type` and `record`, and the line that the function's log shows for it (None where AWS writes
no line). Sources: AWS's Telemetry API schema reference 2022-12-13; log lines recorded on AWS in 2025-11; the statuses in REPORT and
INIT_REPORT as in "Understanding the Lambda execution environment life cycle" (2026).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from .effects import Emit
from .function import Function

Status = Literal["success", "failure", "error", "timeout"]
Phase = Literal["init", "invoke"]
Record = dict[str, object]


@lru_cache(maxsize=4)
def _whole_second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_time(at: float) -> str:
    """Epoch seconds as AWS prints them: `2026-11-22T10:00:00.000Z`."""
    whole = int(at)
    return f"{_whole_second(whole)}.{int((at - whole) * 1000):03d}Z"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Narrator:
    """Speaks for one environment: knows what every record of it repeats."""

    __slots__ = ("_environment", "_function", "_json", "_log_stream")

    def __init__(self, environment: str, function: Function, log_stream: str) -> None:
        self._environment = environment
        self._function = function
        self._log_stream = log_stream
        self._json = function.log_format == "JSON"

    def _emit(self, now: float, kind: str, record: Record, text: str | None, request_id: str | None = None) -> Emit:
        if self._json and text is not None:
            text = msgspec.json.encode({"time": iso_time(now), "type": kind, "record": record}).decode()
        return Emit(
            environment=self._environment,
            function=self._function.name,
            time=now,
            type=kind,
            record=record,
            text=text,
            request_id=request_id,
        )

    # Init --------------------------------------------------------------------------------------------------------------------------------

    def init_start(self, now: float, phase: Phase) -> Emit:
        """`INIT_START ...` and platform.initStart."""
        name = self._function.runtime.rstrip("x").rstrip(".").replace("python3", "python:3").replace("nodejs", "nodejs:")
        version = f"{name}.frostline"
        arn = f"arn:aws:lambda:{self._function.region}::runtime:local"
        record: Record = {
            "initializationType": "on-demand",
            "phase": phase,
            "runtimeVersion": version,
            "runtimeVersionArn": arn,
            "functionName": self._function.name,
            "functionVersion": "$LATEST",
            "instanceId": self._log_stream,
            "instanceMaxMemory": self._function.memory_mb * 1024 * 1024,
        }
        return self._emit(now, "platform.initStart", record, f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}")

    def init_runtime_done(self, now: float, phase: Phase, status: Status, error_type: str | None) -> Emit:
        """platform.initRuntimeDone; the log has no line for it."""
        record: Record = {"initializationType": "on-demand", "phase": phase, "status": status}
        if error_type is not None:
            record["errorType"] = error_type
        return self._emit(now, "platform.initRuntimeDone", record, None)

    def init_report(self, now: float, phase: Phase, status: Status, error_type: str | None, duration_s: float) -> Emit:
        """platform.initReport; `INIT_REPORT ...` is written to the log only when the init failed, as on AWS for on-demand functions."""
        record: Record = {
            "initializationType": "on-demand",
            "phase": phase,
            "status": status,
            "metrics": {"durationMs": _ms(duration_s)},
        }
        text = None
        if status != "success":
            text = f"INIT_REPORT Init Duration: {duration_s * 1000:.2f} ms\tPhase: {phase}\tStatus: {status}"
        if error_type is not None:
            record["errorType"] = error_type
            if text is not None and status != "timeout":
                text += f"\tError Type: {error_type}"
        return self._emit(now, "platform.initReport", record, text)

    def extension(self, now: float, name: str, state: str, events: tuple[str, ...], error_type: str | None) -> Emit:
        """`EXTENSION Name: x State: Ready Events: [INVOKE,SHUTDOWN]` and platform.extension."""
        record: Record = {"name": name, "state": state, "events": list(events)}
        text = f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{','.join(events)}]"
        if error_type is not None:
            record["errorType"] = error_type
            text += f"\tError Type: {error_type}"
        return self._emit(now, "platform.extension", record, text)

    def subscription(self, now: float, name: str, types: tuple[str, ...], api: str) -> Emit:
        """`TELEMETRY Name: x State: Subscribed Types: [Platform]` and platform.telemetrySubscription (platform.logsSubscription for the older API)."""
        kind = "telemetrySubscription" if api == "telemetry" else "logsSubscription"
        text = f"{api.upper()}\tName: {name}\tState: Subscribed\tTypes: [{', '.join(t.capitalize() for t in types)}]"
        return self._emit(now, f"platform.{kind}", {"name": name, "state": "Subscribed", "types": list(types)}, text)

    # Invoke ------------------------------------------------------------------------------------------------------------------------------

    def start(self, now: float, request_id: str, trace_id: str | None) -> Emit:
        """`START RequestId: ...` and platform.start."""
        record: Record = {"requestId": request_id, "version": "$LATEST"}
        if trace_id is not None:
            record["tracing"] = {"type": "X-Amzn-Trace-Id", "value": trace_id}
        return self._emit(now, "platform.start", record, f"START RequestId: {request_id} Version: $LATEST", request_id)

    def runtime_done(
        self,
        now: float,
        request_id: str,
        status: Status,
        error_type: str | None,
        *,
        started_at: float,
        responded_at: float | None,
        response_began_at: float | None,
        produced_bytes: int,
    ) -> Emit:
        """platform.runtimeDone, with the spans that AWS computes: response latency, response duration, runtime overhead."""
        record: Record = {
            "requestId": request_id,
            "status": status,
            "metrics": {"durationMs": _ms(now - started_at), "producedBytes": produced_bytes},
        }
        if error_type is not None:
            record["errorType"] = error_type
        if responded_at is not None and response_began_at is not None:
            edges = (
                ("responseLatency", started_at, response_began_at),
                ("responseDuration", response_began_at, responded_at),
                ("runtimeOverhead", responded_at, now),
            )
            record["spans"] = [{"name": name, "start": iso_time(begin), "durationMs": _ms(end - begin)} for name, begin, end in edges]
        return self._emit(now, "platform.runtimeDone", record, None, request_id)

    def end(self, now: float, request_id: str) -> Emit:
        """`END RequestId: ...`; the Telemetry API has no event for it, the older Logs API has."""
        record: Record = {"requestId": request_id}
        text = None if self._json else f"END RequestId: {request_id}"
        return self._emit(now, "platform.end", record, text, request_id)

    def report(
        self,
        now: float,
        request_id: str,
        status: Status,
        error_type: str | None,
        *,
        duration_s: float,
        init_s: float | None,
        memory_peak_mb: int | None,
        show_status: bool,
    ) -> Emit:
        """`REPORT RequestId: ...` and platform.report.

        The billed duration is rounded up to the millisecond and includes the init (AWS: "Init is billed" for all functions since 2025-08).
        `show_status`: the log line says so only for timeouts, crashes and failed inits, not for an exception the handler raised.
        """
        billed = math.ceil(round((duration_s + (init_s or 0.0)) * 1000, 3))
        used = memory_peak_mb if memory_peak_mb is not None else 0
        metrics: Record = {
            "durationMs": _ms(duration_s),
            "billedDurationMs": billed,
            "memorySizeMB": self._function.memory_mb,
            "maxMemoryUsedMB": used,
        }
        text = (
            f"REPORT RequestId: {request_id}\tDuration: {duration_s * 1000:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {self._function.memory_mb} MB\tMax Memory Used: {used} MB\t"
        )
        if init_s is not None:
            metrics["initDurationMs"] = _ms(init_s)
            text += f"Init Duration: {init_s * 1000:.2f} ms\t"
        record: Record = {"requestId": request_id, "status": status, "metrics": metrics}
        if error_type is not None:
            record["errorType"] = error_type
        if show_status and status != "success":
            text += f"Status: {status}"
            if error_type is not None and status != "timeout":
                text += f"\tError Type: {error_type}"
        return self._emit(now, "platform.report", record, text, request_id)

    # The function's and the extensions' own lines ----------------------------------------------------------------------------------------

    def logged(self, now: float, process: str, text: str, request_id: str | None) -> Emit:
        """A line that a process wrote; in JSON format a line that is a JSON object is handed to subscribers as an object (schema 2022-12-13)."""
        kind = "extension" if process.startswith("extension:") else "function"
        record: Record | str = text
        if self._json and text.startswith("{"):
            try:
                decoded = msgspec.json.decode(text)
            except msgspec.DecodeError:
                decoded = None
            if isinstance(decoded, dict):
                record = decoded
        return Emit(
            environment=self._environment,
            function=self._function.name,
            time=now,
            type=kind,
            record=record,
            text=text,
            request_id=request_id,
            process=process,
        )
