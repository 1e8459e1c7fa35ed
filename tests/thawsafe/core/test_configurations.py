from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thawsafe import (
    NO_KEEPALIVE,
    NO_RETRIES,
    UNLIMITED,
    Configuration,
    Keepalive,
    Retries,
    cloud_run,
    in_region,
    lambda_,
    laptop,
    low_latency,
    microvm,
)

PRESETS = [lambda_, microvm, cloud_run, in_region, low_latency, laptop]
FIELDS = [field.name for field in dataclasses.fields(Configuration)]
seconds = st.one_of(st.floats(min_value=1e-6, max_value=1e9), st.integers(1, 10**9), st.just(UNLIMITED))
counts = st.one_of(st.integers(1, 10**9), st.just(UNLIMITED))
VALUES = {
    "environment": st.text(min_size=1),
    "connections_per_host": counts,
    "connections": counts,
    "unannounced_freezes": st.booleans(),
    "keepalive": st.one_of(st.just(NO_KEEPALIVE), st.builds(Keepalive, interval=seconds, timeout=seconds, while_idle=st.booleans())),
    "retries": st.one_of(st.just(NO_RETRIES), st.builds(Retries, attempts=counts, within=seconds)),
}


@pytest.mark.parametrize("field", FIELDS)
@given(data=st.data(), preset=st.sampled_from(PRESETS))
def test_changing_one_field_changes_that_field_alone(field: str, data: st.DataObject, preset: Callable[[], Configuration]) -> None:
    """A published SDK lost the other fields when one was changed."""
    value = data.draw(VALUES.get(field, seconds))
    before = preset()
    after = before.replace(**{field: value})

    assert getattr(after, field) == value
    for other in FIELDS:
        if other != field:
            assert getattr(after, other) == getattr(before, other)
    assert before == preset(), "the first one is as it was"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.__name__)
def test_every_limit_is_finite(preset: Callable[[], Configuration]) -> None:
    """A preset that says UNLIMITED would be what it is there to prevent."""
    for field in FIELDS:
        value = getattr(preset(), field)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert 0 < value < math.inf, field


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in VALUES] + ["connections", "connections_per_host"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (0.0, ValueError),
        (-1, ValueError),
        (None, TypeError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (True, TypeError),
        ("5", TypeError),
    ],
)
def test_no_limit_has_to_be_spelled(field: str, value: object, error: type[Exception]) -> None:
    if field.startswith("connections") and isinstance(value, float):
        error = TypeError
    with pytest.raises(error, match=rf"lambda configuration: {field} is .*Give (seconds|a whole number) above zero, or thawsafe.UNLIMITED"):
        lambda_().replace(**{field: value})


def test_zero_and_none_say_what_they_would_mean() -> None:
    with pytest.raises(ValueError, match="idle_age is 0, which means 'no limit' to some clients and 'never' to others"):
        lambda_().replace(idle_age=0)
    with pytest.raises(TypeError, match="request_timeout is None, which clients read as 'wait for ever'"):
        lambda_().replace(request_timeout=None)


@pytest.mark.parametrize("made", [lambda: Keepalive(interval=0, timeout=1, while_idle=True), lambda: Retries(attempts=0, within=1)])
def test_parts_are_checked_too(made: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        made()


def test_none_is_no_keepalive_and_no_retries() -> None:
    with pytest.raises(TypeError, match=r"or thawsafe\.NO_KEEPALIVE"):
        lambda_().replace(keepalive=None)
    with pytest.raises(TypeError, match=r"or thawsafe\.NO_RETRIES"):
        lambda_().replace(retries=0)


def test_a_field_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match=r"A configuration has no idle_timeout\. It has: environment, connect_timeout, "):
        lambda_().replace(idle_timeout=3)


def test_it_is_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        lambda_().idle_age = 3.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Configuration("lambda", 1, 1, 1)  # type: ignore[call-arg, misc]


@pytest.mark.parametrize("word", [UNLIMITED, NO_KEEPALIVE, NO_RETRIES], ids=repr)
def test_words_stay_themselves(word: object) -> None:
    assert copy.copy(word) is word
    assert copy.deepcopy(word) is word
    assert pickle.loads(pickle.dumps(word)) is word
    assert repr(word) in ("UNLIMITED", "NO_KEEPALIVE", "NO_RETRIES")


def test_a_configuration_survives_a_pickle() -> None:
    configuration = lambda_().replace(idle_age=UNLIMITED)
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    assert dataclasses.asdict(configuration)["idle_age"] is UNLIMITED
