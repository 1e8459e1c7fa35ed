"""A story as one HTML page to walk through: self-contained, with nothing to load and nowhere to send anything.

The page holds the object of `document` as JSON, and scripts that draw it on a canvas; its head and its findings are text, for whoever runs no scripts.
Template, style and scripts are files of this package in `assets`, read once, as modules are. What a function printed is hostile input: text goes through
Jinja's escaping, JSON is written so that it cannot end its element, scripts put it into the page as text only, and the page's own policy allows no
script but these.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from itertools import pairwise

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ..diagnose.finding import Finding
from .axis import Axis
from .document import document
from .head import head
from .palette import COLOURS
from .view import View
from .words import number

LOGS = 20_000
"""Most log lines in a page."""

SCRIPTS = ("axis.js", "words.js", "scene.js", "paint.js", "page.js")
FONT = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif'
SOFT = ("#f6f9fb", "#151d25")
"""The paper of cards."""


def page(view: View, *, scale: bool = False) -> str:
    """The page. `scale`: it opens with time to scale; the reader can change that either way."""
    template, style, script = _assets()
    story = document(view, logs_most=LOGS)
    left_out = story.header.logs_left_out
    data = {"story": story, "axis": _knots(view.axis()), "colours": list(COLOURS), "scale": scale}
    return template.render(
        head=head(view),
        left_out=f"{number(left_out, 'log line')} left out; frostline story --json has them." if left_out else "",
        findings=[_finding(finding, view) for finding in view.findings],
        data=safe_json(data),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
    )


def safe_json(value: object) -> str:
    """JSON that may stand in a script element: nothing in it ends the element, begins a comment or is a line's end to JavaScript.

    HTML, 4.12.1.3: a script's text must not hold `<!--`, `<script` or `</script`. Lone surrogates, which UTF-8 has no bytes for, are escaped too.
    """
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@lru_cache(maxsize=1)
def _assets() -> tuple[Template, str, str]:
    environment = Environment(
        loader=PackageLoader("frostline.render", "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    assert environment.loader is not None
    sources = {name: environment.loader.get_source(environment, name)[0] for name in ("page.css", *SCRIPTS)}
    script = '"use strict";\n' + "\n".join(sources[name] for name in SCRIPTS)
    return environment.get_template("page.html"), _variables() + sources["page.css"], script


def _variables() -> str:
    """The palette as custom properties: light, dark where the reader's system is, and either where it was asked for."""
    light, dark = (";".join(f"--{name}:{pair[index]}" for name, pair in (*COLOURS.items(), ("soft", SOFT))) for index in (0, 1))
    return (
        f":root{{color-scheme:light;--font:{FONT};{light}}}\n"
        f'@media (prefers-color-scheme:dark){{:root:not([data-theme="light"]){{color-scheme:dark;{dark}}}}}\n'
        f':root[data-theme="dark"]{{color-scheme:dark;{dark}}}\n'
    )


def _hash(text: str) -> str:
    """As a Content-Security-Policy names what it allows (CSP 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _knots(axis: Axis) -> dict[str, object]:
    """An axis in whole numbers, from knot to knot: microseconds, and thousand-millionths of the width."""
    micros = [round((at - axis.begin) * 1e6) for at in axis.times]
    parts = [round(place * 1e9) for place in axis.places]
    return {
        "begin": axis.begin,
        "zero": axis.zero,
        "times": [0, *(after - before for before, after in pairwise(micros))],
        "quiet": [[round(quiet.begin, 6), round(quiet.end, 6)] for quiet in axis.quiet],
        "places": [0, *(after - before for before, after in pairwise(parts))],
    }


def _finding(finding: Finding, view: View) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "claim": finding.claim,
        "times": finding.times,
        "requests": [{"id": one, "number": view.numbers[one]} for one in finding.requests if one in view.numbers],
        "proof": [{"since": f"{proof.at - view.timeline.begin:.4f} s", "text": proof.text} for proof in finding.proof],
        "cures": finding.cures,
    }
