#!/usr/bin/env python3
"""Writes docs/findings.md from the rules in `frostline.diagnose`, so that the page cannot disagree with the code.

.venv/bin/python scripts/write_findings.py writes the file; tests/diagnose/test_docs.py holds it to the rules.
"""

from __future__ import annotations

from pathlib import Path

from frostline.diagnose.cures import SAFE_AGE_S, cures_by_client
from frostline.diagnose.rules import RULES, Rule

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"

_TEXT = """\
# Findings

Written by `scripts/write_findings.py` from the rules in `frostline/src/frostline/diagnose/rules/` and the cures beside them. Change those, not this
page.

`frostline story FILE` reads a recording and says what it proves. Every finding names the requests at both ends (where it began, and where it showed),
the connection, the times, the events that prove it, and what to change in the client that the function has. A finding is a **failure** (an invocation
failed of it), a **risk** (it went well this time) or a **cost** (nothing breaks, and time is lost). Nothing is said without proof: where the
recording leaves it open, there is no finding. The same thing seen many times for one function and destination is one finding that says how often.

Which client it is, is told from the function's runtime, the words of its errors and logs, its gRPC traces and the port it dials; where that is not
enough, the cures for the clients that are common for the language are given. Where a cure has a number of seconds, it is below the server's own limit
if the recording shows that, and {age:g} s if not.

| rule | what it says |
|---|---|
{contents}

{sections}
"""


def code(text: str) -> str:
    """As Markdown's code, also where there are backticks in it (Go's strings)."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def section(rule: Rule) -> str:
    """One rule: its module's text, and its cures."""
    says, _, rest = rule.text.strip().partition("\n\n")
    rows = "\n".join(f"| {client} | {code(setting)} | {why} |" for client, setting, why in cures_by_client(rule.ailment))
    return f"## {rule.name}\n\n{says}\n\n{rest}\n\n**Cures.**\n\n| client | change | why |\n|---|---|---|\n{rows}"


def page() -> str:
    """The whole of docs/findings.md."""
    contents = "\n".join(f"| [{rule.name}](#{rule.name}) | {rule.text.strip().partition(chr(10))[0]} |" for rule in RULES)
    return _TEXT.format(age=SAFE_AGE_S, contents=contents, sections="\n\n".join(section(rule) for rule in RULES))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
