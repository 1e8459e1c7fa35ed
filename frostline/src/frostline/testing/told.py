"""What a failed test has to say about its functions: how they lived, what the recording proves, and where its picture is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..diagnose.finding import Finding
from ..render.words import clean
from .errors import FrostlineError
from .life import Life

PATH_CHARACTERS = 180
"""Of a file's name, whose limit is 255 bytes."""


async def told(lives: Sequence[Life], folder: Path, prefix: str) -> str:
    """The text, and the timelines: one for each function, in `folder`, under names that begin with `prefix`."""
    parts = []
    for number, life in enumerate(lives, 1):
        name = life.name if [one.name for one in lives].count(life.name) == 1 else f"{life.name}-{number}"
        parts.append(await _told(life, folder / f"{file_name(prefix + name)}.html"))
    return "\n\n".join(parts)


def file_name(text: str) -> str:
    """A test's or a function's name as a file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[-PATH_CHARACTERS:]


async def _told(life: Life, page: Path) -> str:
    lines = [clean(life.name), *(f"   {clean(line)}" for line in life.history or ["was never invoked"])]
    if not life.history:
        return "\n".join(lines)
    try:
        found = await life.findings()
        for number, finding in enumerate(found, 1):
            lines += ["", *_finding(number, finding)]
        lines += [f"   It cost time: {one.rule}. {clean(one.claim)}" for one in await life.costs()]
        if life.failed and not found:
            lines.append("Its recording proves nothing: what failed is not known to be the freeze's doing.")
        lines += await _notes(life)
        await life.write(page, page.with_suffix(".story.jsonl"))
        lines += ["", f"Timeline: {page}"]
    except FrostlineError as error:
        lines.append(f"There is no timeline: {error}")
    return "\n".join(lines)


async def _notes(life: Life) -> list[str]:
    refused = {f"{one.host or one.address}:{one.port}": one.reason for one in (await life.story()).refused}
    lines = [f"{clean(name)} was not reached: {clean(reason)}" for name, reason in refused.items()]
    if any("outside of the lab" in reason for reason in refused.values()):
        lines.append("   upstreams=[...] puts a server in its place, and allow_network=True lets the function reach it.")
    return lines + [f"Note: {clean(note)}" for note in life.notes if "was refused:" not in note]


def _finding(number: int, finding: Finding) -> list[str]:
    seen = f", seen {finding.times} times" if finding.times > 1 else ""
    start = finding.proof[0].at if finding.proof else finding.at
    return [
        f"{number}. {finding.rule} ({finding.severity}{seen})",
        f"   {clean(finding.claim)}",
        *(f"   {proof.at - start:+9.3f} s  {clean(proof.text)}" for proof in finding.proof),
        *(f"   Cure, {cure.client}: {cure.setting}. {cure.why}" for cure in finding.cures),
    ]
