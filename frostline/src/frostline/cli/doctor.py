"""`frostline doctor`: will this function survive being frozen?"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from .. import __version__
from ..core.durations import spoken
from ..project import Deployment, Project
from ..render.page import page
from ..story.reader import StoryError
from ..trials.doctor.checkup import PATIENCE_S, Checkup, Question
from ..trials.doctor.plan import GAPS_S
from ..trials.doctor.reports import as_annotations, as_json, as_junit, as_sarif
from ..trials.doctor.verdict import EXIT_STATUS, Verdict
from ..trials.recording import read_view
from .doctor_view import DoctorView
from .options import Duration, Failure, chosen_upstreams, project_options, source
from .running import load_project, run
from .terminal import Printer


@click.command()
@click.argument("path", default=".", metavar="[TEMPLATE|DIR|ZIP|FILE]")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@click.option("--event", "-e", default="{}", metavar="JSON|@FILE", help="What the function is invoked with. Default: {}.")
@project_options
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="NAME[:PORT]=SERVER",
    help="A server in the place of a real one; see `frostline up --help`.",
)
@click.option(
    "--upstreams",
    "upstreams_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML file with upstreams: `NAME[:PORT]: SERVER` a line.",
)
@click.option("--allow-network", is_flag=True, help="Reach hosts outside of the lab, the real network and this machine, too.")
@click.option("--trials", type=click.IntRange(1, 100), default=2, show_default=True, help="Trials for each cell of the table.")
@click.option(
    "--gap",
    "gaps",
    multiple=True,
    type=Duration(),
    metavar="DURATION",
    help=f"Gaps to try instead of {', '.join(map(spoken, GAPS_S))}; repeatable.",
)
@click.option("--real", is_flag=True, help="Wait in earnest: no clock is moved. Gaps over 61s are tried only if --gap asks for them.")
@click.option(
    "--patience",
    type=Duration(),
    default=PATIENCE_S,
    metavar="DURATION",
    help=f"How long an invocation may take. Default: {spoken(PATIENCE_S)}.",
)
@click.option("--fix", is_flag=True, help="Make the same trials with thawsafe switched on from outside (Python), and show both.")
@click.option("--json", "as_json_", is_flag=True, help="Print one JSON object.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write JUnit XML, for CI servers.")
@click.option("--sarif", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write SARIF 2.1.0, for code scanning.")
@click.option("--github", is_flag=True, help="Print annotations for GitHub Actions.")
@click.option(
    "--html", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Write the timelines of failed trials as pages."
)
def doctor(path: str, functions: tuple[str, ...], **options: Any) -> None:
    """Say whether functions survive being frozen, before production does.

    First a function is invoked without being frozen: is it healthy, and what does it connect to? Then with gaps from a second to a night, and with everything
    that can happen to its connections meanwhile. Hours take no time: its clocks are moved. Nothing outside of the lab is reached without --allow-network.

    Exit status: 0 it survives, 1 it does not, 2 it could not be judged.
    """
    chosen = _Options(**{name: options.pop(name) for name in _Options.__struct_fields__})
    event = _event(chosen.event)
    upstreams = chosen_upstreams([*chosen.upstreams, *_from_file(chosen.upstreams_file)])
    project = load_project(source(path, **options))
    view = DoctorView()
    said: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="frostline-doctor-") as folder:
        for number, deployment in enumerate(_chosen(project, functions)):
            question = Question(
                deployment=deployment,
                event=event,
                upstreams=upstreams,
                reach_network=chosen.allow_network,
                trials=chosen.trials,
                gaps=tuple(sorted(set(chosen.gaps))),
                real=chosen.real,
                patience_s=chosen.patience,
            )
            said.append(_one(question, Path(folder) / str(number), view, chosen))
    _tell(said, project, chosen)
    raise SystemExit(max((EXIT_STATUS[one.status] for one in said), key=[0, 2, 1].index))


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, beside the project."""

    event: str
    upstreams: tuple[str, ...]
    upstreams_file: Path | None
    allow_network: bool
    trials: int
    gaps: tuple[float, ...]
    real: bool
    patience: float
    fix: bool
    as_json_: bool
    junit: Path | None
    sarif: Path | None
    github: bool
    html: Path | None

    @property
    def quiet(self) -> bool:
        """Standard output belongs to a program."""
        return self.as_json_ or self.github


def _one(question: Question, folder: Path, view: DoctorView, chosen: _Options) -> Verdict:
    """One function's verdict, also when it was interrupted."""
    said, checkup = _carry_out(question, folder, view)
    if not chosen.quiet:
        view.verdict(said)
    if chosen.fix:
        _fix(question, folder, view, said, chosen)
    if chosen.html is not None:
        _write_pages(checkup, said, chosen.html, view)
    return said


def _carry_out(question: Question, folder: Path, view: DoctorView) -> tuple[Verdict, Checkup]:
    folder.mkdir(parents=True)
    checkup = Checkup(
        question,
        folder,
        on_plan=lambda found, made: view.planned(found, made, reach_network=question.reach_network),
        on_result=view.result,
        note=Printer(err=True).note,
    )
    interrupted = False

    async def work() -> None:
        nonlocal interrupted
        try:
            await checkup.carry_out()
        except asyncio.CancelledError:
            interrupted = True
            raise

    try:
        with view.running(checkup.function, reach_network=question.reach_network):
            run(work(), endless=True)
    except StoryError as error:
        raise Failure(str(error)) from error
    said = checkup.verdict(interrupted=interrupted)
    if said is None:
        raise SystemExit(130 if interrupted else 2)
    return said, checkup


def _fix(question: Question, folder: Path, view: DoctorView, said: Verdict, chosen: _Options) -> None:
    from ..trials.doctor.fix import NoFix, with_thawsafe

    if said.status != "does_not_survive":
        return
    try:
        fixed = with_thawsafe(question, folder / "layer")
    except NoFix as error:
        Printer(err=True).note(str(error))
        return
    after, _ = _carry_out(fixed, folder / "fixed", view)
    if not chosen.quiet:
        view.side_by_side(said, after)


def _tell(said: Sequence[Verdict], project: Project, chosen: _Options) -> None:
    place = _place(project)
    places = [place] * len(said)
    if chosen.as_json_:
        click.echo(as_json(said))
    if chosen.github:
        for line in as_annotations(said, places):
            click.echo(line)
    if chosen.junit is not None:
        _write(chosen.junit, as_junit(said))
    if chosen.sarif is not None:
        _write(chosen.sarif, as_sarif(said, version=__version__, places=places))


def _place(project: Project) -> str:
    """Where findings are pinned: the template or the code, relative to where the command runs, as CI wants it."""
    return os.path.relpath(project.origin).replace(os.sep, "/")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror or error}") from error


def _write_pages(checkup: Checkup, said: Verdict, folder: Path, view: DoctorView) -> None:
    """A page for each cell that failed, of its first failed trial."""
    for one in said.outcomes:
        if not one.failed:
            continue
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in f"{said.function} {one.cell.name}")
        story = folder / f"{name}.story.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            checkup.write_story(one, story)
        except (OSError, StoryError) as error:
            raise Failure(f"the timeline of {one.cell.name} cannot be written to {folder}: {error}") from error
        _write(folder / f"{name}.html", page(read_view(story)))
    if any(one.failed for one in said.outcomes):
        view.wrote("Timelines of failed trials", str(folder))


def _chosen(project: Project, names: Sequence[str]) -> list[Deployment]:
    by_name = {deployment.logical_id: deployment for deployment in project.functions if deployment.logical_id}
    by_name |= {deployment.function.name: deployment for deployment in project.functions}
    for name in names:
        if name not in by_name:
            known = ", ".join(deployment.function.name for deployment in project.functions)
            raise Failure(f"{project.origin} has no function {name!r}; it has {known}.")
    return [by_name[name] for name in names] or list(project.functions)


def _event(given: str) -> Any:
    path = given.removeprefix("@")
    try:
        text = Path(path).read_text(encoding="utf-8") if given.startswith("@") else given
        return json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the event {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except ValueError as error:
        raise Failure(f"the event is not JSON: {error}") from error


def _from_file(file: Path | None) -> list[str]:
    """The upstreams of a file, as they would be written on the command line."""
    if file is None:
        return []
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"the upstreams in {file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(server, str) for server in content.values()):
        raise Failure(f"{file} does not hold upstreams. Write one a line: `api.example.com:443: http1,tls,idle=60`.")
    return [f"{name}={server}" for name, server in content.items()]
