"""The incidents as they are written down: what their tables promise is tried."""

from __future__ import annotations

import pytest

from frostline.trials.incident import INCIDENT, Cell, Incident
from frostline.trials.incidents import INCIDENTS
from frostline.trials.incidents.keepalive import AFFECTED, LONG_GAP_S, PING_EVERY_S, PING_TIMEOUT_S, SHORT_GAP_S
from frostline.trials.incidents.pool import GAP_S, SERVER_IDLE_S
from frostline.trials.ready import FUNCTIONS

EVERY = list(INCIDENTS.values())


def cells(incident: Incident) -> list[Cell]:
    return [cell for stage in incident.stages for cell in stage.cells]


@pytest.mark.parametrize("incident", EVERY, ids=lambda incident: incident.name)
def test_each_cell_is_there_once(incident: Incident) -> None:
    keys = [(cell.client, cell.variant, cell.level) for cell in cells(incident)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("incident", EVERY, ids=lambda incident: incident.name)
def test_one_stage_is_explained_and_it_is_the_first_which_fails(incident: Incident) -> None:
    assert [stage.explained for stage in incident.stages] == [True] + [False] * (len(incident.stages) - 1)
    assert {(cell.variant, cell.level) for cell in incident.stages[0].cells} == {(INCIDENT, "network")}


@pytest.mark.parametrize("incident", EVERY, ids=lambda incident: incident.name)
def test_every_client_that_fails_is_tried_at_every_level_and_has_a_cure(incident: Incident) -> None:
    for failing in incident.stages[0].cells:
        same = [cell for cell in cells(incident) if cell.client == failing.client]
        assert {cell.level for cell in same if cell.variant == INCIDENT} == {"off", "processes", "network"}
        assert any(cell.variant != INCIDENT and cell.level == "network" and cell.watched_s is None for cell in same)


def test_pools_gap_is_longer_than_the_servers_patience_and_its_cures_are_shorter() -> None:
    assert GAP_S > SERVER_IDLE_S + 1
    assert "IdleConnTimeout:       2 * time.Second" in (FUNCTIONS / "pool-go" / "main.go").read_text()


def test_each_variant_of_the_table_is_one_that_the_function_knows() -> None:
    sources = {folder.name: "".join(file.read_text() for file in folder.glob("*.*")) for folder in FUNCTIONS.iterdir()}
    for cell in cells(INCIDENTS["pool"]):
        assert f'"{cell.variables["VARIANT"]}"' in sources[cell.function.folder] or cell.variant == INCIDENT


def test_the_keepalive_trial_meets_the_conditions_of_the_incident() -> None:
    """A PING is overdue at the first thaw, its timeout at the second, and the last name resolution is less than 30 s old."""
    assert LONG_GAP_S > PING_EVERY_S
    assert SHORT_GAP_S > PING_TIMEOUT_S
    assert LONG_GAP_S + SHORT_GAP_S < 29
    assert tuple(int(part) for part in AFFECTED.split(".")) <= (1, 9, 7)


def test_a_black_hole_is_only_made_where_it_is_measured() -> None:
    for incident in EVERY:
        for cell in cells(incident):
            assert (cell.conditions.fates.default == "blackhole") == (cell.watched_s is not None)
