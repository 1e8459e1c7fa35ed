"""The trials of the table, carried out on Frostline.

One environment goes through all methods and idle times of one client and fate, bare or with thawsafe, because starting it is what takes the processor. For
each it makes a new client, of a server with a name of its own, and has its connection warm; then comes the gap, and then one request.
"""

from __future__ import annotations

import asyncio
import statistics
import sysconfig
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionOpened
from frostline.core.fates import Fate, Fates
from frostline.core.upstream import UpstreamAsked
from frostline.project import Deployment, Source, load
from frostline.story.reader import Story
from frostline.trials.doctor.checkup import Question as DoctorsQuestion
from frostline.trials.doctor.fix import with_thawsafe
from frostline.trials.gaps import RealTime, Warped
from frostline.trials.runner import Run
from frostline.trials.trial import Invoked, Life, Result, Setting, Trial, TrialError, in_turn

from .cells import CLIENTS, METHODS, VARIANTS, Cell, Client, Method, Observation, Question, Variant, cells, conditions
from .servers import peer, serving

FUNCTIONS = Path(__file__).with_name("functions")
TIMEOUT_S = 5.0
"""The functions'. Their clients give up after 2 s; drivers that have no such limit are ended by this one."""
WARM = 3
"""Requests on a connection before the gap; the first opens it."""
WIDTH = 40
"""Environments at once; most of them wait."""
AT_WORK = 2
"""Invocations at once, so that what is timed has a processor."""
WAITED_S = 10.0
"""The first trial of a cell waits for a gap of at most so much, and the others move the environment's clocks. Where they cannot be moved, all wait, and
longer gaps are left out.
"""
ACKNOWLEDGED_S = 0.05
"""Between an answer and the gap: a kernel delays its last acknowledgement by 40 ms. In a gap that takes a moment it would fall after the thaw, and be the
first packet there instead of the request.
"""
CONNECTS = 3
"""In each life with thawsafe, how often it is measured what a new connection takes after a thaw."""
SURVIVE = Conditions(fates=Fates(default="survive"))


class Wanted(Struct, frozen=True, kw_only=True):
    """What the table is to have."""

    clients: tuple[Client, ...] = CLIENTS
    fates: tuple[Fate, ...]
    idles: tuple[float, ...]
    trials: int
    """Of each cell and variant."""


class Told(Struct, kw_only=True):
    """What came of it."""

    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences for a person: what was left out, and why."""


class _Record(Struct):
    """What the scripts of a run say."""

    observations: list[Observation] = field(default_factory=list)
    connects: dict[str, list[float]] = field(default_factory=dict)


async def carry_out(wanted: Wanted, folder: Path, on_plan: Callable[[int], None], on_trial: Callable[[str], None]) -> Told:
    """Make the trials; `folder` is for stories and the layer. `on_plan` is told how many lives there will be, `on_trial` of each that ends.

    Raises SandboxError where the machine does not freeze networks, ProjectError, and NoFix where thawsafe's layer cannot be built.
    """
    told = Told()
    record = _Record()
    deployments = _deployments(folder)
    warps, why = await _warps(deployments["bare"], folder, told.notes.append)
    idles = wanted.idles if warps else tuple(idle for idle in wanted.idles if idle <= WAITED_S)
    if idles != wanted.idles:
        told.notes.append(f"Gaps of more than {WAITED_S:g} s were left out: clocks cannot be moved here ({why}).")
    steps = [(method, idle) for method in METHODS for idle in idles]
    servers = [client.server for client in wanted.clients]
    with serving(servers, len(steps)) as running:
        gate = asyncio.Semaphore(AT_WORK)
        trials = [
            _trial(_Script(record, gate, client, variant, fate, steps, turn, warps=warps), deployments[variant])
            for turn in range(wanted.trials)
            for fate in wanted.fates
            for client in wanted.clients
            for variant in VARIANTS
        ]
        on_plan(len(trials))
        setting = Setting(conditions=SURVIVE, upstreams=running.upstreams, reach_network=False, warp=warps)
        story = folder / "table.story.jsonl"
        run = Run(
            setting,
            story,
            width=WIDTH,
            starting=WIDTH,
            gaps=Warped() if warps else RealTime(),
            on_result=lambda result: on_trial(result.trial),
            note=told.notes.append,
        )
        results = await run.carry_out(trials)
        opened, twice = _from_story(story)
        twice |= running.seen_twice()
    told.notes += _problems(results)
    told.cells = cells(record.observations, connects=record.connects, opened=opened, seen_twice=twice)
    return told


def _deployments(folder: Path) -> dict[Variant, Deployment]:
    """The function, bare and with thawsafe's layer. The clients are those of this interpreter's environment."""
    packages = tuple(dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")))
    runtime = f"python{sysconfig.get_python_version()}"
    variables = {"PYTHONPATH": ":".join(["/opt/python", *map(str, packages), "/var/runtime"]), "CLIENT": "with_urllib3"}
    source = Source(
        path=FUNCTIONS, handler="app.handler", runtime=runtime, name="thaw", timeout_s=TIMEOUT_S, memory_mb=512, environment=variables
    )
    (bare,) = load(source, lambda _: None).functions
    safe = with_thawsafe(DoctorsQuestion(deployment=bare), folder / "layer").deployment
    return {"bare": _with_packages(bare, packages), "safe": _with_packages(safe, packages)}


def _with_packages(deployment: Deployment, packages: tuple[Path, ...]) -> Deployment:
    launch = msgspec.structs.replace(deployment.launch, read_only=(*deployment.launch.read_only, *packages))
    return msgspec.structs.replace(deployment, launch=launch)


async def _warps(deployment: Deployment, folder: Path, note: Callable[[str], None]) -> tuple[bool, str]:
    """Whether clocks can be moved, found out by moving them; and if not, why."""
    run = Run(Setting(warp=True, reach_network=False), folder / "clocks.story.jsonl", gaps=Warped(), note=note)
    nothing = {"new": "", "keys": [], "idempotent": True}
    (result,) = await run.carry_out([Trial(name="clocks", deployment=deployment, script=in_turn([nothing, nothing], [60.0]))])
    if result.failed:
        raise TrialError(f"the function could not be run: {next(one.error for one in result.invocations if one.failed)}")
    return result.clocks_moved, result.clocks_note


def _trial(script: _Script, deployment: Deployment) -> Trial:
    return Trial(name=script.name, deployment=deployment, script=script, variables={"CLIENT": script.client.module})


class _Script:
    """One environment's life. It is a `Script`."""

    def __init__(
        self,
        record: _Record,
        gate: asyncio.Semaphore,
        client: Client,
        variant: Variant,
        fate: Fate,
        steps: Sequence[tuple[Method, float]],
        turn: int,
        *,
        warps: bool,
    ) -> None:
        self.name = f"{client.module.removeprefix('with_')}-{variant}-{fate}-{turn}"
        self.client = client
        self._record = record
        self._gate = gate
        self._variant: Variant = variant
        self._fate: Fate = fate
        self._steps = steps
        self._turn = turn
        self._warps = warps
        # A bare client in a black hole waits for its timeout, and needs no processor for that.
        self._judged_at = asyncio.Semaphore() if (variant, fate) == ("bare", "blackhole") else gate

    async def __call__(self, life: Life) -> None:
        for number, (method, idle) in enumerate(self._steps):
            await self._step(life, number, Question(self.client.name, self._fate, method, idle))
        for _ in range(CONNECTS if self._variant == "safe" else 0):
            await self._open_another(life)

    async def _step(self, life: Life, number: int, question: Question) -> None:
        idempotent = question.method == "idempotent"
        key = f"{self.name}-{number}"
        event = {"new": "client", "peer": peer(self.client.server, number), "idempotent": idempotent}
        async with self._gate:
            prepared = await life.invoke(event | {"keys": [f"{key}-warm-{each}" for each in range(WARM)]})
        if prepared.failed:
            self._observe(question, key, prepared, waited=False, warm_ms=0.0, error=f"before the gap: {prepared.error}")
            return
        await life.wait(ACKNOWLEDGED_S)
        life.meet(conditions(question))
        waited = await self._idle(life, question.idle_s)
        async with self._judged_at:
            first = await life.invoke(event | {"new": "", "keys": [key]})
        life.meet(None)
        self._observe(question, key, first, waited=waited, warm_ms=_warm_ms(prepared), error=first.error)

    def _observe(self, question: Question, key: str, first: Invoked, *, waited: bool, warm_ms: float, error: str | None) -> None:
        self._record.observations.append(
            Observation(
                question=question,
                variant=self._variant,
                waited=waited,
                request_id=first.request_id,
                key=key,
                warm_ms=warm_ms,
                first_ms=None if error is not None else first.answer[0],
                error=error,
            )
        )

    async def _idle(self, life: Life, seconds: float) -> bool:
        """A gap; whether it was waited for."""
        if not self._warps or (self._turn == 0 and seconds <= WAITED_S):
            await life.wait(seconds)
            return True
        await life.idle(seconds)
        return False

    async def _open_another(self, life: Life) -> None:
        """What opening a connection takes after a thaw, beside a warm request: two requests of which only the first needs one."""
        event = {"peer": peer(self.client.server, 0), "idempotent": True}
        async with self._gate:
            await life.invoke(event | {"new": "client", "keys": [f"{self.name}-before"]})
        life.meet(SURVIVE)
        if self._warps:
            await life.idle(1.0)
        else:
            await life.wait(1.0)
        async with self._gate:
            after = await life.invoke(event | {"new": "connection", "keys": [f"{self.name}-after-{each}" for each in range(WARM)]})
        if not after.failed:
            self._record.connects.setdefault(self.client.name, []).append(after.answer[0] - _warm_ms(after))


def _warm_ms(invoked: Invoked) -> float:
    """A request on a connection that is there."""
    return float(statistics.median(invoked.answer[1:]))


def _from_story(path: Path) -> tuple[dict[str, int], set[str]]:
    """Connections that were opened, by request id; and the keys that an upstream has seen more than once."""
    opened: Counter[str] = Counter()
    twice: set[str] = set()
    with Story.open(path) as story:
        for line in story:
            match line.event:
                case ConnectionOpened(request_id=str(request_id)):
                    opened[request_id] += 1
                case UpstreamAsked(key=str(key), seen=seen) if seen > 1:
                    twice.add(key)
    return dict(opened), twice


def _problems(results: Sequence[Result]) -> list[str]:
    """What kept trials from being carried out."""
    said = [f"{result.trial}: {result.problem}" for result in results if result.problem is not None]
    return said + [f"{result.trial}: not all clocks were moved ({result.clocks_note})" for result in results if not result.clocks_moved]
