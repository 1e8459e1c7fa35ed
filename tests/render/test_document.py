"""The JSON object keeps its promise: these names, everything in it, and what is missing is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from frostline.core import fates, middlebox
from frostline.core.conditions import Conditions
from frostline.core.events import ConditionsChanged
from frostline.diagnose.finding import Finding
from frostline.render.document import (
    CloseData,
    ConnectionData,
    EnvironmentData,
    FirstWriteData,
    FreezeData,
    HeaderData,
    InvocationData,
    LogData,
    PhaseData,
    RefusedData,
    TraceData,
    TrafficData,
    document,
    to_json,
)
from frostline.render.view import select
from tests.render import stories
from tests.render.stories import BEGAN


def told() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(to_json(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING])))
    return answer


def test_the_names_are_these() -> None:
    answer = told()
    parts = "format header environments invocations connections refused logs traces conditions findings"
    assert list(answer) == parts.split()
    names = {
        "header": "version schema started_at level begin end truncated environments_unused events_unrecorded logs_left_out",
        "environments": "id function started ended phases freezes exits",
        "invocations": "number request_id function environment arrived started responded finished outcome error_type error_message",
        "connections": "number environment name host address port local_port fate middlebox opened opened_in near_end far_end became concern sent received "
        "traffic closed expired lost first_writes",
        "logs": "at environment request_id type text",
        "traces": "at environment request_id library what subject text",
        "findings": "rule severity claim function environment at requests connection destination proof cures times",
    }
    for part, expected in names.items():
        one = answer[part] if part == "header" else answer[part][0]
        assert list(one) == expected.split(), part
    environment, connection = answer["environments"][0], answer["connections"][0]
    assert list(environment["phases"][0]) == ["state", "begin", "end", "request_id"]
    assert list(environment["freezes"][0]) == ["begin", "end", "thawed", "before", "after", "moved_s", "network"]
    assert list(connection["traffic"][0]) == ["begin", "end", "sent", "received", "kind", "while_frozen", "request_id"]
    assert list(connection["closed"][0]) == ["at", "by", "how", "frozen", "reached"]


def test_what_was_chosen_while_it_ran_is_in_it() -> None:
    story = stories.pool()
    met = Conditions(fates=fates.parse(["survive", "db.local=blackhole"]), middleboxes=middlebox.parse(["alb"]))
    story.network(ConditionsChanged(environment=stories.POOL, at=BEGAN + 1.5, conditions=None))
    story.network(ConditionsChanged(at=BEGAN + 1.0, conditions=met))
    story.network(ConditionsChanged(environment="another", at=BEGAN + 1.2, conditions=met))
    everybodys, own = json.loads(to_json(select(story.timeline())))["conditions"]
    assert everybodys == {"at": BEGAN + 1.0, "environment": None, "fates": ["survive", "db.local=blackhole"], "middleboxes": ["alb"]}
    assert own == {"at": BEGAN + 1.5, "environment": stories.POOL, "fates": None, "middleboxes": None}


def test_the_incident_can_be_read_from_it() -> None:
    answer = told()
    assert answer["format"] == 1
    assert [one["outcome"] for one in answer["invocations"]] == ["succeeded", "succeeded", "failed"]
    assert [one["number"] for one in answer["invocations"]] == [1, 2, 3]
    pong = answer["connections"][0]["traffic"][-1]
    assert pong["kind"] == "ping_ack" and pong["while_frozen"]
    assert answer["environments"][0]["freezes"][1] | {"network": None} == {
        "begin": BEGAN + 8.909,
        "end": BEGAN + 12.2996,
        "thawed": True,
        "before": stories.K2,
        "after": stories.K3,
        "moved_s": 0.0,
        "network": None,
    }
    assert answer["environments"][0]["freezes"][1]["network"]["waiting"] == 1
    assert answer["findings"][0]["requests"] == [stories.K2, stories.K3]


def test_both_ends_of_a_lost_connection_are_told() -> None:
    lost, healthy = document(select(stories.pool().timeline())).connections
    assert lost.far_end == BEGAN + 3.0871 and lost.near_end == BEGAN + 4.5919
    assert lost.lost is not None and lost.lost.ended_at == lost.far_end
    assert lost.first_writes[0].answer == "rst"
    assert (healthy.near_end, healthy.far_end, healthy.became) == (None, None, "open")


def test_a_big_story_is_whole_and_lines_of_failures_are_kept_first() -> None:
    view = select(stories.big())
    whole = document(view)
    assert len(whole.invocations) == 3000 and len(whole.connections) == 207 and len(whole.logs) == 3000
    few = document(view, logs_most=10)
    assert few.header.logs_left_out == 2990 and len(few.logs) == 10
    failed = {one.request_id for one in whole.invocations if one.outcome == "failed"}
    assert failed <= {line.request_id for line in few.logs}


def test_a_long_line_is_cut() -> None:
    story = stories.pool()
    story.prints(stories.POOL, "orders", 6.21, "x" * 100_000, stories.P3)
    assert max(len(line.text) for line in document(select(story.timeline())).logs) == 4000


def test_the_documentation_names_every_field() -> None:
    documented = set(re.findall(r"`(\w+)`", (Path(__file__).parents[2] / "docs" / "reading-a-story.md").read_text()))
    structs = (HeaderData, EnvironmentData, PhaseData, FreezeData, InvocationData, ConnectionData, TrafficData, CloseData, FirstWriteData)
    for struct in (*structs, RefusedData, LogData, TraceData, Finding):
        assert set(struct.__struct_fields__) <= documented, struct.__name__
