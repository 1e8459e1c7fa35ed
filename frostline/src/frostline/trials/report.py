"""What came of a demonstration, as one object for a program and as a table for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from .incident import Outcome
from .trial import LEVELS, Level


def as_object(incident: str, outcomes: Sequence[Outcome], skipped: Sequence[Struct], **more: object) -> dict[str, Any]:
    """One object: `incident`, `cells`, `black_hole` where it was measured, `skipped`, and what else is given."""
    answer: dict[str, Any] = {"incident": incident, "cells": [_cell(one) for one in outcomes if one.cell.watched_s is None]}
    measured = [_measured(one) for one in outcomes if one.cell.watched_s is not None]
    if measured:
        answer["black_hole"] = measured
    return {**answer, "skipped": msgspec.to_builtins(list(skipped)), **more}


def _cell(outcome: Outcome) -> dict[str, Any]:
    return {
        **_head(outcome),
        "failed": outcome.failed,
        "findings": [
            {"rule": finding.rule, "requests": list(finding.requests)} for result in outcome.carried_out for finding in result.findings
        ],
        "errors": distinct(outcome.errors),
    }


def _measured(outcome: Outcome) -> dict[str, Any]:
    return {
        **_head(outcome),
        "watched_s": outcome.cell.watched_s,
        "noticed_s": outcome.noticed_s,
        "noticed_median_s": outcome.noticed_median_s,
    }


def _head(outcome: Outcome) -> dict[str, Any]:
    cell = outcome.cell
    head: dict[str, Any] = {"client": cell.client, "variant": cell.variant, "level": cell.level, "trials": len(outcome.carried_out)}
    if problems := outcome.problems:
        head["problems"] = distinct(problems)
    return head


def distinct(texts: Sequence[str], most: int = 3) -> list[str]:
    """Each text once, in the order of first appearance; a few of them, where ports and addresses make every one different."""
    return list(dict.fromkeys(texts))[:most]


class Row(Struct, frozen=True):
    """A row of the table: what failed of how many, at each level that was tried."""

    client: str
    variant: str
    failed: dict[Level, tuple[int, int]]


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """The table: one row for each client and variant, in the order of the cells."""
    found: dict[tuple[str, str], dict[Level, tuple[int, int]]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        if cell.watched_s is None:
            found.setdefault((cell.client, cell.variant), {})[cell.level] = outcome.failed, len(outcome.carried_out)
    clients = list(dict.fromkeys(client for client, _ in found))
    return [
        Row(client, variant, {level: failed[level] for level in LEVELS if level in failed})
        for wanted in clients
        for (client, variant), failed in found.items()
        if client == wanted
    ]
