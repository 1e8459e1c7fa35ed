"""Generated courses of events: whatever happens in whatever order, the laws hold and everybody gets what is owed.

A course is a policy, two functions and a list of numbers, by which a `World` chooses what happens next. After each event the fleet is validated and
the `Laws` are checked; in the end everybody behaves, and then nothing may be owed and everything must stand still.
"""

from __future__ import annotations

import struct

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from frostline.core.function import Function
from frostline.core.policy import Policy
from frostline.core.states import State
from frostline.testing.builders import function

from .world import World

POLICIES = st.builds(
    Policy,
    freeze=st.sampled_from([True, True, True, False]),
    freeze_delay_s=st.sampled_from([0.0, 0.001, 1.0]),
    idle_timeout_s=st.sampled_from([5.0, 2400.0]),
    chaos=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.2, 1.0]),
    spares=st.integers(0, 2),
    retry_delay_s=st.sampled_from([1.0, 60.0]),
)
FUNCTIONS = st.builds(
    function,
    concurrency=st.integers(0, 3),
    extensions=st.sampled_from([(), (), ("logger",), ("logger", "tracer")]),
    maximum_event_age_s=st.sampled_from([30.0, 21600.0]),
)
COURSES = st.binary(min_size=200, max_size=800)


def at_rest(world: World) -> None:
    """Nobody has anything to do: every environment that can be frozen is."""
    for environment in world.fleet.environments:
        match environment.state:
            case State.FROZEN | State.PREPARED:
                pass
            case State.IDLE:
                assert not (world.fleet.policy.freeze and environment.initialized and environment._freeze_failures < 3), (
                    f"{environment!r} is not frozen"
                )
            case _:
                raise AssertionError(f"{environment!r} does not come to rest")


@settings(
    max_examples=1500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
@given(policy=POLICIES, first=FUNCTIONS, second=FUNCTIONS, course=COURSES)
def test_whatever_freezes_when(policy: Policy, first: Function, second: Function, course: bytes) -> None:
    """Each invocation is answered exactly once, no transition is invalid, nothing frozen is delivered to, and nothing is left in the end."""
    world = World(policy, [first, replace(second, name="g")])
    try:
        for (choice,) in struct.iter_unpack("<H", course[: len(course) // 2 * 2]):
            world.step(choice)
        world.calm(until=30.0)
        world.laws.finished()
        at_rest(world)
        world.end()
    except BaseException:
        note("\n".join(world.story[-200:]))
        raise
