"""`/_frostline/network`: what connections meet, read and changed by programs while functions run.

    GET     {"freezes": true, "fates": ["lost"], "middleboxes": [], "environments": {ID: {"fates": [...], "middleboxes": [...]}}}
    PUT     {"fates": ["survive", "redis.local:6379=blackhole"], "middleboxes": ["alb"]}, either of them or both; with ?environment=ID for that one alone
    DELETE  with ?environment=ID: it has none of its own any more

Fates and middleboxes are written as on the command line. What is left out of a PUT stays as it is. POST is PUT. The answer is what GET answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..core import fates, middlebox
from ..core.conditions import Conditions

METHODS = "GET, PUT, POST, DELETE"

WHOSE = "DELETE gives up what one environment has of its own: ?environment=ID says which. What all environments meet is changed by PUT."

T = TypeVar("T")


class _Body(Struct, forbid_unknown_fields=True):
    fates: list[str] | None = None
    middleboxes: list[str] | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(body: bytes, present: Conditions) -> Conditions:
    """The conditions that a PUT asks for. Raises ValueError with a sentence for the person who wrote it."""
    try:
        asked = _decoder.decode(body)
    except msgspec.MsgspecError as problem:
        raise ValueError(
            f'The body is not what it should be ({problem}). Write {{"fates": ["lost", "HOST:PORT=survive"], "middleboxes": ["alb"]}}.'
        ) from problem
    return replace(
        present,
        fates=_parse(fates.parse, asked.fates, present.fates),
        middleboxes=_parse(middlebox.parse, asked.middleboxes, present.middleboxes),
    )


def _parse(parse: Callable[[Iterable[str]], T], texts: list[str] | None, present: T) -> T:
    return present if texts is None else parse(texts)


def shown(*, freezes: bool, conditions: Mapping[str | None, Conditions]) -> dict[str, object]:
    """The answer to a GET. `conditions`: by environment; under None everybody's."""
    own = {environment: _texts(each) for environment, each in conditions.items() if environment is not None}
    return {"freezes": freezes, **_texts(conditions.get(None, Conditions())), "environments": own}


def _texts(conditions: Conditions) -> dict[str, object]:
    return {"fates": conditions.fates.texts(), "middleboxes": conditions.middleboxes.texts()}
