"""A verdict for machines: JSON, JUnit XML, SARIF and GitHub's annotations. Text in, text out: nothing here opens a file."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from ...diagnose.finding import Finding
from ...diagnose.rules import RULES
from .table import told
from .verdict import Outcome, Unexplained, Verdict

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (2.2), which a function's error may."""

UNEXPLAINED = "fails-after-freeze"
"""The rule, in SARIF's sense, of a failure that no finding explains."""

_LEVELS = {"failure": "error", "risk": "warning"}
"""SARIF's and GitHub's. A cost is no alert; it is in the JSON."""


def as_json(verdicts: Sequence[Verdict], *, fixed: Sequence[Verdict | None] = (), refused: Mapping[str, str] | None = None) -> str:
    """One object; a function's fields are those of `Verdict`, and findings are told once.

    `fixed`: what the same trials say with thawsafe, where they were made. `refused`: functions that could not be run, and why.
    """
    functions = [_plain(verdict) for verdict in verdicts]
    for function, (_, after) in zip(functions, _paired(verdicts, fixed), strict=True):
        if after is not None:
            function["with_thawsafe"] = _plain(after)
    left_out = [{"function": name, "message": message} for name, message in (refused or {}).items()]
    return json.dumps({"frostline": "doctor", "schema": 1, "functions": functions, "refused": left_out}, indent=2)


def _plain(verdict: Verdict) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(verdict)
    for shown, one in zip(made["outcomes"], verdict.outcomes, strict=True):
        shown["findings"] = [
            {"rule": finding.rule, "requests": list(finding.requests), "destination": finding.destination} for finding in one.findings
        ]
    return made


def as_junit(verdicts: Sequence[Verdict], *, fixed: Sequence[Verdict | None] = ()) -> str:
    """JUnit XML, as CI servers read it: a suite for each function, a test for each cell. The same trials with thawsafe are a suite of their own."""
    root = ET.Element("testsuites", name="frostline doctor")
    for verdict, after in _paired(verdicts, fixed):
        _suite(root, verdict, verdict.function)
        if after is not None:
            _suite(root, after, f"{verdict.function} with thawsafe")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _paired(verdicts: Sequence[Verdict], fixed: Sequence[Verdict | None]) -> Iterator[tuple[Verdict, Verdict | None]]:
    return zip(verdicts, fixed or [None] * len(verdicts), strict=True)


def _suite(root: ET.Element, verdict: Verdict, name: str) -> None:
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_clean(name),
        tests=str(len(verdict.outcomes) + 1),
        failures=str(sum(one.failed > 0 for one in verdict.outcomes)),
        errors=str(int(verdict.status == "not_judged")),
        skipped=str(sum(not one.known for one in verdict.outcomes)),
        time=f"{verdict.took_s:.3f}",
    )
    healthy = ET.SubElement(suite, "testcase", classname=_clean(name), name="can be judged")
    if verdict.status == "not_judged":
        ET.SubElement(healthy, "error", message=_clean(verdict.reason)).text = _clean(verdict.baseline.error or "")
    for one in verdict.outcomes:
        _testcase(suite, name, one)


def _testcase(suite: ET.Element, function: str, one: Outcome) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(function), name=_clean(one.cell.name), time=f"{one.longest_s:.3f}")
    if not one.known:
        ET.SubElement(case, "skipped", message=_clean(one.problem or "not tried"))
    elif one.failed:
        element = ET.SubElement(case, "failure", message=_clean(f"{one.failed} of {one.trials} trials failed: {one.error}"))
        element.text = _clean("\n\n".join(_told(finding) for finding in one.findings[:1]))


def as_sarif(verdicts: Sequence[Verdict], *, version: str, places: Sequence[str], fixed: Sequence[Verdict | None] = ()) -> str:
    """SARIF 2.1.0: a result for each finding, and for each failure that none explains; a notification for each function that could not be judged.

    `places`: each function's file, relative to the repository's root. `fixed`: as in `as_json`; a finding says whether it is there with thawsafe, too.
    """
    pairs = list(zip(_paired(verdicts, fixed), places, strict=True))
    used = sorted({finding.rule for verdict in verdicts for finding in verdict.findings})
    used += [UNEXPLAINED] if any(verdict.unexplained for verdict in verdicts) else []
    results = [
        _result(
            finding.rule,
            used,
            _LEVELS[finding.severity],
            f"{verdict.function}: {_told(finding, after)}",
            place,
            f"{verdict.function}/{finding.destination}",
        )
        for (verdict, after), place in pairs
        for finding in verdict.findings
    ]
    results += [
        _result(UNEXPLAINED, used, "error", f"{verdict.function}: {unexplained(one)}", place, f"{verdict.function}/{one.cells[0].name}")
        for (verdict, _), place in pairs
        for one in verdict.unexplained
    ]
    notes = [
        {
            "level": "warning",
            "message": {"text": f"{verdict.function} could not be judged: {verdict.reason}"},
            "locations": [_location(place)],
        }
        for (verdict, _), place in pairs
        if verdict.status == "not_judged"
    ]
    run = {
        "tool": {"driver": {"name": "Frostline", "semanticVersion": version, "rules": [_rule(rule) for rule in used]}},
        "invocations": [{"executionSuccessful": not notes, "toolExecutionNotifications": notes}],
        "results": results,
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


_RULES = {rule.name: rule for rule in RULES}


def _rule(name: str) -> dict[str, Any]:
    """The first lines of a rule's documentation."""
    if name == UNEXPLAINED:
        said = ["An invocation fails after a freeze, and what its connections did does not explain it.", ""]
    else:
        said = _RULES[name].text.split("\n\n")
    full = " ".join(said[1].replace("**Claim.** ", "").split())
    return {"id": name, "shortDescription": {"text": said[0]}, "fullDescription": {"text": full or said[0]}}


def _result(rule: str, rules: Sequence[str], level: str, text: str, place: str, identity: str) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": level,
        "message": {"text": text},
        "locations": [_location(place)],
        "partialFingerprints": {"frostline/v1": f"{identity}/{rule}"},
    }


def _location(place: str) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": quote(place), "uriBaseId": "%SRCROOT%"}, "region": {"startLine": 1}}}


def as_annotations(verdicts: Sequence[Verdict], places: Sequence[str], *, fixed: Sequence[Verdict | None] = ()) -> Iterator[str]:
    """GitHub's workflow commands ("Workflow commands for GitHub Actions"): one for each finding, for what has none, and for what could not be judged."""
    for (verdict, after), place in zip(_paired(verdicts, fixed), places, strict=True):
        for finding in verdict.findings:
            yield _command(_LEVELS[finding.severity], place, f"{verdict.function}: {finding.rule}", _told(finding, after))
        for one in verdict.unexplained:
            yield _command("error", place, f"{verdict.function}: fails after a freeze", unexplained(one))
        if verdict.status == "not_judged":
            yield _command("warning", place, f"{verdict.function}: not judged", "\n".join([verdict.reason, *verdict.advice]))


def _command(level: str, place: str, title: str, message: str) -> str:
    properties = f"file={_property(place)},line=1,title={_property(title)}"
    return f"::{level} {properties}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _told(finding: Finding, after: Verdict | None = None) -> str:
    """A finding as plain text: claim, proof, cure, and whether it is found with thawsafe, too, where that was tried."""
    lines = [finding.claim, *(f"- {proof.text}" for proof in finding.proof)]
    lines += [f"Cure ({cure.client}): {cure.setting}. {cure.why}" for cure in finding.cures[:1]]
    if after is not None:
        too = any((one.rule, one.destination) == (finding.rule, finding.destination) for one in after.findings)
        lines.append(f"In the same trials with thawsafe switched on it is {'found, too' if too else 'not found'}.")
    return "\n".join(lines)


def unexplained(one: Unexplained) -> str:
    """A failure without a finding, in a sentence."""
    return f"it failed without a finding in {'; '.join(map(told, one.cells))}: {one.error}"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
