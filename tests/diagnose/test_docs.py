"""The documentation of findings says what the rules say, and each rule says what it has to."""

from __future__ import annotations

import re

import pytest

from frostline.diagnose.rules import RULES, Rule
from scripts.write_findings import PAGE, page


def test_the_page_is_current() -> None:
    """Run `.venv/bin/python scripts/write_findings.py` when this fails."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_claims_what_proves_it_and_where_its_numbers_come_from(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    for part in ("**Claim.**", "**Proof.**", "**Thresholds.**"):
        assert part in rule.text


def test_rules_are_told_apart_by_their_names() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
