"""A verdict for machines: JSON, JUnit XML, SARIF and GitHub's annotations. Text in, text out: nothing here opens a file."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ...core.durations import spoken
from ...diagnose.finding import Finding
from .verdict import Outcome, Verdict

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (2.2), which a function's error may."""

EVERYONE = "all connections"

_LEVELS = {"failure": "error", "risk": "warning", "cost": "note"}


def as_json(verdicts: Sequence[Verdict]) -> str:
    """One object; its fields are those of `Verdict`, and findings are told once."""
    return json.dumps({"frostline": "doctor", "schema": 1, "functions": [_plain(verdict) for verdict in verdicts]}, indent=2)


def _plain(verdict: Verdict) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(verdict)
    for told, one in zip(made["outcomes"], verdict.outcomes, strict=True):
        told["findings"] = [
            {"rule": finding.rule, "requests": list(finding.requests), "destination": finding.destination} for finding in one.findings
        ]
    return made


def as_junit(verdicts: Sequence[Verdict]) -> str:
    """JUnit XML, as CI servers read it: a suite for each function, a test for each cell."""
    root = ET.Element("testsuites", name="frostline doctor")
    for verdict in verdicts:
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(verdict.function),
            tests=str(len(verdict.outcomes) + 1),
            failures=str(sum(one.failed > 0 for one in verdict.outcomes)),
            errors=str(int(verdict.status == "not_judged")),
            skipped=str(sum(not one.known for one in verdict.outcomes)),
            time=f"{verdict.took_s:.3f}",
        )
        healthy = ET.SubElement(suite, "testcase", classname=_clean(verdict.function), name="healthy without being frozen")
        if verdict.status == "not_judged":
            ET.SubElement(healthy, "error", message=_clean(verdict.reason)).text = _clean(verdict.baseline.error or "")
        for one in verdict.outcomes:
            _testcase(suite, verdict.function, one)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _testcase(suite: ET.Element, function: str, one: Outcome) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(function), name=_clean(one.cell.name), time=f"{one.longest_s:.3f}")
    if not one.known:
        ET.SubElement(case, "skipped", message=_clean(one.problem or "not tried"))
    elif one.failed:
        element = ET.SubElement(case, "failure", message=_clean(f"{one.failed} of {one.trials} trials failed: {one.error}"))
        element.text = _clean("\n\n".join(_told(finding) for finding in one.findings[:1]))


def as_sarif(verdicts: Sequence[Verdict], *, version: str, places: Sequence[str]) -> str:
    """SARIF 2.1.0: a result for each finding. `places`: each function's file or folder, relative to the repository's root."""
    rules = sorted({finding.rule for verdict in verdicts for finding in verdict.findings})
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": rules.index(finding.rule),
            "level": _LEVELS[finding.severity],
            "message": {"text": f"{verdict.function}: {_told(finding)}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}}],
            "partialFingerprints": {"frostline/v1": f"{verdict.function}/{finding.rule}/{finding.destination or ''}"},
        }
        for verdict, place in zip(verdicts, places, strict=True)
        for finding in verdict.findings
    ]
    driver = {"name": "Frostline", "semanticVersion": version, "rules": [{"id": rule} for rule in rules]}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}, indent=2)


def as_annotations(verdicts: Sequence[Verdict], places: Sequence[str]) -> Iterator[str]:
    """GitHub's workflow commands ("Workflow commands for GitHub Actions"): one for each finding, and one for what has none."""
    for verdict, place in zip(verdicts, places, strict=True):
        for finding in verdict.findings:
            level = {"failure": "error", "risk": "warning", "cost": "notice"}[finding.severity]
            yield _command(level, place, f"{verdict.function}: {finding.rule}", _told(finding))
        if verdict.status == "not_judged":
            yield _command("warning", place, f"{verdict.function}: not judged", verdict.reason)
        elif verdict.status == "does_not_survive" and not verdict.findings:
            yield _command("error", place, f"{verdict.function}: does not survive a freeze", verdict.reason)


def _command(level: str, place: str, title: str, message: str) -> str:
    properties = f"file={_property(place)},line=1,title={_property(title)}"
    return f"::{level} {properties}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _told(finding: Finding) -> str:
    """A finding as plain text: claim, proof, cure."""
    lines = [finding.claim, *(f"- {proof.text}" for proof in finding.proof)]
    lines += [f"Cure ({cure.client}): {cure.setting}. {cure.why}" for cure in finding.cures[:1]]
    return "\n".join(lines)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def table(verdict: Verdict) -> tuple[list[str], list[list[str]]]:
    """The verdict's table as text: the head (gaps), and one row for each destination and what happened to it."""
    gaps = sorted({one.cell.gap_s for one in verdict.outcomes if one.cell.moment == "idle"})
    rows: dict[tuple[str, str], dict[float, str]] = {}
    for one in verdict.outcomes:
        key = (one.cell.destination or EVERYONE, _happening(one))
        rows.setdefault(key, {})[one.cell.gap_s] = _mark(one)
    head = ["connection to", "while frozen", *(spoken(gap) for gap in gaps)]
    return head, [[*key, *(marks.get(gap, "") for gap in gaps)] for key, marks in _sorted(rows.items())]


def _sorted(rows: Iterable[tuple[tuple[str, str], dict[float, str]]]) -> list[tuple[tuple[str, str], dict[float, str]]]:
    """Those of all destinations last."""
    return sorted(rows, key=lambda row: row[0][0] == EVERYONE)


def _happening(one: Outcome) -> str:
    words = {
        "survive": "the peer stays",
        "fin_delivered": "the peer closes, FIN arrives",
        "lost": "the peer closes, FIN is lost",
        "blackhole": "black hole",
        "nat-gateway": "NAT gateway (350 s)",
        "alb": "load balancer (60 s)",
    }
    return words[one.cell.happening] + {"idle": "", "in_flight": ", in mid-answer", "after_init": ", after the init"}[one.cell.moment]


def _mark(one: Outcome) -> str:
    if not one.known:
        return "?"
    if one.failed:
        return f"fails {one.failed}/{one.trials}"
    return f"slow {one.longest_s:.1f} s" if one.slow else "ok"
