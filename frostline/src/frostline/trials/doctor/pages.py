"""The verdict as a page for a browser, which leads to the timelines of the trials that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from ...render.palette import COLOURS
from .table import LEGEND, compared, table
from .verdict import Status, Verdict

STATUS: dict[Status, str] = {"survives": "survives", "does_not_survive": "does not survive a freeze", "not_judged": "could not be judged"}


def index(verdicts: Sequence[Verdict], pages: Mapping[tuple[str, str], str], *, fixed: Sequence[Verdict | None] = ()) -> str:
    """The page. `pages`: by function and name of the cell, the file of a failed trial's timeline, beside this one.

    `fixed`: what the same trials say with thawsafe, where they were made.

    What a function said is hostile input: everything goes through Jinja's escaping, and the page's own policy allows no script.
    """
    pairs = zip(verdicts, fixed or [None] * len(verdicts), strict=True)
    environment = Environment(
        loader=PackageLoader("frostline.trials", "doctor"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("index.html").render(
        verdicts=[(verdict, table(verdict), after, compared(verdict, after) if after else ()) for verdict, after in pairs],
        pages=pages,
        status=STATUS,
        legend=LEGEND,
        colours=COLOURS,
    )
