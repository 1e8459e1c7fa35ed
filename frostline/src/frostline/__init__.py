"""Frostline: a local Lambda that really freezes functions between invocations."""

__version__ = "0.1.0"
