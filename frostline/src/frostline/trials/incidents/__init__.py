"""The two incidents, each as cells of a table: a client, configured in some way, frozen to some level, tried many times."""

from __future__ import annotations

from ..incident import Incident
from .keepalive import KEEPALIVE
from .pool import POOL

INCIDENTS: dict[str, Incident] = {incident.name: incident for incident in (POOL, KEEPALIVE)}
"""By name."""
