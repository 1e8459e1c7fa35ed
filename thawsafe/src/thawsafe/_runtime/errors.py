"""What can go wrong that is not a connection's fault."""

from __future__ import annotations


class UnknownClient(RuntimeError):
    """A client library is not the one that thawsafe knows: another version, or its parts are not where they were. Nothing was changed."""
