"""Carries `frostline demo` out: makes the functions ready, runs the stages, and tells what came of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from ..project import ProjectError
from ..story.reader import StoryError
from ..trials.demonstration import Demonstration, Explained
from ..trials.incident import Outcome
from ..trials.incidents import INCIDENTS
from ..trials.report import as_object
from ..upstreams import Unservable
from .demo_view import DemoView
from .options import Failure
from .running import run
from .terminal import Printer


def demonstrate(incident: str, trials: int, output: Path, *, as_json: bool) -> None:
    """Demonstrate an incident. Raises Failure."""
    printer = Printer(err=True)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder {output} cannot be made: {error.strerror or error}") from error
    with tempfile.TemporaryDirectory(prefix="frostline-demo-") as folder:
        shown = Demonstration(INCIDENTS[incident], trials=trials, folder=Path(folder), note=printer.note)
        try:
            shown.prepare(printer.note)
        except (ProjectError, Unservable) as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:  # `run`, which takes Ctrl-C later, has not begun
            if as_json:
                _print(shown, None, interrupted=True)
            raise SystemExit(130) from None
        if not any(shown.cells(stage) for stage in shown.incident.stages):
            raise Failure("nothing of this can be tried here." + "".join(f"\n  {one.client}: {one.why}" for one in shown.skipped))
        try:
            run(_as_json(shown, output) if as_json else _for_a_person(shown, output))
        except StoryError as error:
            raise Failure(str(error)) from error
        if not shown.outcomes:
            raise Failure(
                "nothing of this could be tried here."
                + "".join(f"\n  --freeze {one.level}: {one.why}" for one in shown.skipped if one.level)
            )


async def _as_json(shown: Demonstration, output: Path) -> None:
    explained: Explained | None = None
    interrupted = True
    try:
        for stage in shown.incident.stages:
            outcomes = await shown.carry_out(stage)
            if stage.explained:
                explained = _explain(shown, outcomes, output)
        interrupted = False
    finally:
        _print(shown, explained, interrupted=interrupted)


def _print(shown: Demonstration, explained: Explained | None, *, interrupted: bool) -> None:
    answer = as_object(
        shown.incident.name,
        shown.outcomes,
        shown.skipped,
        story=str(explained.story) if explained else None,
        picture=str(explained.picture) if explained else None,
        interrupted=interrupted,
    )
    click.echo(json.dumps(answer))


async def _for_a_person(shown: Demonstration, output: Path) -> None:
    view = DemoView(shown.incident)
    view.begin(shown.skipped)
    explained: Explained | None = None
    try:
        for stage in shown.incident.stages:
            cells = shown.cells(stage)
            if not cells:
                continue
            with view.stage(stage, shown.trials * len(cells)) as on_result:
                outcomes = await shown.carry_out(stage, on_result)
            if stage.compared:
                view.compared(shown.outcomes)
            else:
                view.outcomes(outcomes)
            if stage.explained and (explained := _explain(shown, outcomes, output)) is not None:
                view.explained(explained)
    finally:
        view.end(shown.outcomes, shown.skipped, explained)


def _explain(shown: Demonstration, outcomes: list[Outcome], output: Path) -> Explained | None:
    try:
        return shown.explain(outcomes, output / f"frostline-demo-{shown.incident.name}")
    except OSError as error:
        raise Failure(f"{error.filename or output} cannot be written: {error.strerror or error}. Say where to with --output.") from error
