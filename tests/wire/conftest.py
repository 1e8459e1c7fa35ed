"""Hypothesis without deadlines: a busy machine is not a failing test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("frostline", deadline=None)
settings.load_profile("frostline")
