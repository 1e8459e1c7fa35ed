"""A story gives back what was recorded, also when it was cut off, and refuses what is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from frostline.core.effects import Accepted, Answer, Emit, NextInvocation, Resolve, Succeeded
from frostline.core.events import FunctionDeployed, InvocationArrived, Logged, RuntimeNext
from frostline.core.function import Function
from frostline.core.payload import Payload
from frostline.story.reader import Story, StoryError
from frostline.story.records import HEAD_BYTES, PayloadSummary
from frostline.story.writer import StoryWriter

FUNCTION = Function(name="f", runtime="python3.11", handler="app.handler", revision="1")
EMITTED = Emit(
    environment="e",
    function="f",
    time=5.5,
    type="platform.report",
    record={"requestId": "r", "metrics": {"durationMs": 1.5}},
    text="REPORT",
)


def write(path: Path) -> None:
    """A small story with an event of each kind that holds something of its own."""
    writer = StoryWriter.create(path, version="0", started_at=5.0, level={"freezer": "off"})
    big = Payload(b"x" * (HEAD_BYTES * 4))
    writer.record(FunctionDeployed(FUNCTION), [], 5.1)
    writer.record(
        InvocationArrived(function="f", request_id="r", payload=big),
        [Answer(3, NextInvocation(request_id="r", deadline_ms=9, function_arn="arn", payload=big))],
        5.2,
    )
    writer.record(RuntimeNext("e", 4), [Answer(4, Accepted()), Resolve("r", Succeeded(payload=Payload(b"{}")))], 5.3)
    writer.record(Logged(environment="e", process="runtime", text="line\tü"), [], 5.4)
    writer.record(RuntimeNext("e", 5), [EMITTED], 5.5)
    writer.close()


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    with Story.open(path) as story:
        lines = list(story)
        assert story.header.level == {"freezer": "off"} and not story.truncated
    assert [line.seq for line in lines] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert lines[0].event == FunctionDeployed(FUNCTION)
    assert lines[2].cause == 2 and lines[5].cause == 4
    assert lines[6].event == Logged(environment="e", process="runtime", text="line\tü")


def test_a_payload_is_remembered_by_its_size_and_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    with Story.open(path) as story:
        arrived = next(line.event for line in story if isinstance(line.event, InvocationArrived))
    assert isinstance(arrived.payload, PayloadSummary)
    assert len(arrived.payload) == HEAD_BYTES * 4 and len(arrived.payload.data) == HEAD_BYTES


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9])
def test_a_story_that_was_cut_off_ends_at_its_last_whole_line(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    data = path.read_bytes()
    header_end = data.index(b"\n") + 1
    cut = header_end + int((len(data) - header_end) * keep)
    whole = data[:cut].count(b"\n") - 1
    story = Story(io.BytesIO(data[:cut]), "cut")
    assert len(list(story)) == whole
    assert story.truncated == (data[cut - 1 : cut] != b"\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is not a Frostline story: it is empty"),
        (b"x" * (2 << 20), "is not a Frostline story"),
        (b"\x00\xff\n", "is not a Frostline story"),
        (b'{"a": 1}\n', "is not a Frostline story"),
        (b'{"story":"frostline","schema":99,"version":"9","started_at":1,"level":{}}\n', "schema 99"),
    ],
)
def test_a_file_that_is_no_story_is_refused_with_a_reason(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(text)
    with pytest.raises(StoryError, match=says):
        Story.open(path)


def test_a_line_that_is_none_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    path.write_bytes(path.read_bytes() + b'{"seq": "x"}\n')
    with Story.open(path) as story, pytest.raises(StoryError, match="line 11"):
        list(story)


def test_a_disk_that_refuses_ends_the_recording_and_not_the_run() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    writer = StoryWriter(Full(), "run.jsonl")
    for _ in range(3):
        writer.record(RuntimeNext("e", 1), [], 1.0)
        writer.flush()
    assert writer.failed == "the story run.jsonl could not be written any further: No space left on device"
