"""The form of a table of cures."""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, tuple[tuple[str, str], ...]]
"""By client: settings and why, the best one first. `{age_s}`, `{age_ms}`, `{age_int}` and `{age_go}` stand for how long a connection may be idle."""
