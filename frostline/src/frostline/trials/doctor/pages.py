"""The verdict as a page for a browser, which leads to the timelines of the trials that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from ...render.palette import COLOURS
from .table import LEGEND, table
from .verdict import Status, Verdict

STATUS: dict[Status, str] = {"survives": "survives", "does_not_survive": "does not survive a freeze", "not_judged": "could not be judged"}


def index(verdicts: Sequence[Verdict], pages: Mapping[tuple[str, str], str]) -> str:
    """The page. `pages`: by function and name of the cell, the file of a failed trial's timeline, beside this one.

    What a function said is hostile input: everything goes through Jinja's escaping, and the page's own policy allows no script.
    """
    environment = Environment(
        loader=PackageLoader("frostline.trials", "doctor"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("index.html").render(
        verdicts=[(verdict, table(verdict)) for verdict in verdicts], pages=pages, status=STATUS, legend=LEGEND, colours=COLOURS
    )
