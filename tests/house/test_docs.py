"""What the documentation points at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
SCRIPT = re.compile(r"\b((?:scripts|bench|docs|examples|tests)/[\w./-]*\w)")
HIDDEN = {".venv", ".peers", "node_modules", ".git", ".pytest_cache", ".hypothesis"}
DOCUMENTS = sorted(path for path in REPOSITORY.rglob("*.md") if not HIDDEN & set(path.parts) and not path.is_symlink())


def missing(document: str, folder: Path) -> list[str]:
    """The links and paths in a text that lead nowhere. A link starts at the document, a path in the text at the repository."""
    links = [link for link in LINK.findall(document) if "://" not in link and not (folder / link).exists()]
    without_links = LINK.sub("", document)
    return links + [path for path in SCRIPT.findall(without_links) if not any((start / path).exists() for start in (REPOSITORY, folder))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    assert missing(path.read_text(encoding="utf-8"), path.parent) == []


def test_the_check_sees_what_is_missing() -> None:
    text = "See [there](docs/nowhere.md), [here](LICENSE), [out](https://example.com/x) and run `scripts/nothing` or `scripts/test`."
    assert missing(text, REPOSITORY) == ["docs/nowhere.md", "scripts/nothing"]
