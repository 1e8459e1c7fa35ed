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
from ..project import Deployment, Project, Refused
from ..render.page import page
from ..story.reader import StoryError
from ..trials.doctor.checkup import PATIENCE_S, Checkup, Question
from ..trials.doctor.pages import index
from ..trials.doctor.plan import GAPS_S
from ..trials.doctor.reports import as_annotations, as_json, as_junit, as_sarif
from ..trials.doctor.verdict import EXIT_STATUS, Verdict
from ..trials.recording import read_view
from .doctor_view import DoctorView
from .options import Duration, Failure, chosen_upstreams, project_options, source
from .running import load_project, run

INTERRUPTED = 130
"""As a shell has it for SIGINT, where nothing was known yet."""

LONGEST_GAP_S = 30 * 86_400.0


def _possible(_context: click.Context, _parameter: click.Parameter, gaps: tuple[float, ...]) -> tuple[float, ...]:
    for gap in gaps:
        if gap > LONGEST_GAP_S:
            raise click.BadParameter(
                f"{spoken(gap)} is longer than any environment lives; gaps of up to {spoken(LONGEST_GAP_S)} are tried."
            )
    return gaps


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
    type=Duration(zero=False),
    callback=_possible,
    metavar="DURATION",
    help=f"Gaps to try instead of {', '.join(map(spoken, GAPS_S))}; repeatable.",
)
@click.option("--real", is_flag=True, help="Wait in earnest: no clock is moved. Gaps over 61s are tried only if --gap asks for them.")
@click.option(
    "--patience",
    type=Duration(zero=False),
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
    try:
        raise SystemExit(_doctor(path, functions, options))
    except _Interrupted:
        raise
    except Failure as error:
        raise _NotJudged(error.message) from error
    except KeyboardInterrupt:  # where no loop was running yet; what click makes of it is 1, a verdict
        raise _Interrupted("interrupted") from None


class _Interrupted(Failure):
    """Nothing is known yet."""

    exit_code = INTERRUPTED


class _NotJudged(Failure):
    """1 says that a function does not survive."""

    exit_code = EXIT_STATUS["not_judged"]


def _doctor(path: str, functions: tuple[str, ...], options: dict[str, Any]) -> int:
    chosen = _Options(**{name: options.pop(name) for name in _Options.__struct_fields__})
    event = _event(chosen.event)
    upstreams = chosen_upstreams([*chosen.upstreams, *_from_file(chosen.upstreams_file)])
    chosen.check_files()
    project = load_project(source(path, **options))
    view = DoctorView()
    asked = [
        Question(
            deployment=deployment,
            event=event,
            upstreams=upstreams,
            reach_network=chosen.allow_network,
            trials=chosen.trials,
            gaps=tuple(sorted(set(chosen.gaps))),
            real=chosen.real,
            patience_s=chosen.patience,
        )
        for deployment in _chosen(project, functions)
    ]
    others = {note for deployment in project.functions for note in deployment.launch.notes}
    for sentence in project.notes:
        if sentence not in others or any(sentence in question.deployment.launch.notes for question in asked):
            view.note(sentence)
    refused = () if functions else project.refused
    for one in refused:
        view.note(f"{one.name} is left out: {one.message}")
    with tempfile.TemporaryDirectory(prefix="frostline-doctor-") as folder:
        patients = _see(asked, Path(folder), view, chosen)
        if chosen.html is not None:
            _write_pages(patients, chosen.html, view)
    _tell(patients, refused, project, chosen)
    view.end([patient.said for patient in patients if not chosen.quiet])
    if unseen := [question.deployment.function.name for question in asked[len(patients) :]]:
        view.note(f"not looked at, as it was interrupted: {', '.join(unseen)}")
    statuses = [EXIT_STATUS[patient.said.status] for patient in patients] + [EXIT_STATUS["not_judged"] for _ in (*refused, *unseen)]
    return max(statuses, key=(0, 2, 1).index)


class _Patient(msgspec.Struct, kw_only=True):
    """One function, and what is known of it."""

    question: Question
    checkup: Checkup
    said: Verdict
    fixed: Verdict | None = None
    """What the same trials say with thawsafe."""
    interrupted: bool = False


def _see(asked: Sequence[Question], folder: Path, view: DoctorView, chosen: _Options) -> list[_Patient]:
    """One function after the other, until somebody interrupts."""
    patients: list[_Patient] = []
    for number, question in enumerate(asked):
        patient = _carry_out(question, folder, str(number), view)
        if patient is None:
            if not patients:
                raise _Interrupted(f"interrupted before anything was known of {question.deployment.function.name}")
            break
        patients.append(patient)
        if not chosen.quiet:
            view.verdict(patient.said)
        if chosen.fix and not patient.interrupted:
            _fix(patient, folder, f"{number}-fixed", view, chosen)
        if patient.interrupted:
            break
    return patients


def _carry_out(question: Question, scratch: Path, name: str, view: DoctorView) -> _Patient | None:
    """None where it was interrupted before anything was known."""
    folder = scratch / name
    folder.mkdir(parents=True)
    checkup = Checkup(
        question,
        folder,
        on_plan=lambda found, made: view.planned(found, made, reach_network=question.reach_network),
        on_result=view.result,
        note=view.note,
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
            run(work(), endless=True, scratch=scratch)
    except StoryError as error:
        raise Failure(str(error)) from error
    said = checkup.verdict(interrupted=interrupted)
    return None if said is None else _Patient(question=question, checkup=checkup, said=said, interrupted=interrupted)


def _fix(patient: _Patient, scratch: Path, name: str, view: DoctorView, chosen: _Options) -> None:
    from ..trials.doctor.fix import NoFix, with_thawsafe

    if patient.said.status != "does_not_survive":
        return
    try:
        question = with_thawsafe(patient.question, scratch / f"{name}-layer")
    except NoFix as error:
        view.note(str(error))
        return
    after = _carry_out(question, scratch, name, view)
    if after is None:
        patient.interrupted = True
        return
    patient.fixed, patient.interrupted = after.said, after.interrupted
    if not chosen.quiet:
        view.side_by_side(patient.said, after.said)


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

    def check_files(self) -> None:
        """Whether reports can be written, before anything is done for them. Raises Failure."""
        for file in (self.junit, self.sarif, None if self.html is None else self.html / "index.html"):
            if file is not None:
                try:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.open("a").close()
                except OSError as error:
                    raise Failure(f"{file} cannot be written: {error.strerror or error}") from error

    @property
    def quiet(self) -> bool:
        """Standard output belongs to a program."""
        return self.as_json_ or self.github


def _tell(patients: Sequence[_Patient], refused: Sequence[Refused], project: Project, chosen: _Options) -> None:
    """The verdicts in the forms that were asked for."""
    said, fixed = [patient.said for patient in patients], [patient.fixed for patient in patients]
    places = [_place(project, patient.question.deployment) for patient in patients]
    if chosen.as_json_:
        click.echo(as_json(said, fixed=fixed, refused={one.name: one.message for one in refused}))
    if chosen.github:
        for line in as_annotations(said, places, fixed=fixed):
            click.echo(line)
    if chosen.junit is not None:
        _write(chosen.junit, as_junit(said, fixed=fixed))
    if chosen.sarif is not None:
        _write(chosen.sarif, as_sarif(said, version=__version__, places=places, fixed=fixed))


def _place(project: Project, deployment: Deployment) -> str:
    """The file that findings are pinned to: the template, or the handler's. Relative to where the command runs, as CI wants it."""
    given, used = project.source.path, project.origin
    template = given / used.name
    if used.is_dir():
        module = used / (deployment.function.handler.rpartition(".")[0] or deployment.function.handler)
        file = next((found for suffix in _SUFFIXES if (found := Path(f"{module}{suffix}")).is_file()), used)
    else:
        # SAM builds a template from the user's own.
        file = template if given.is_dir() and template.is_file() else given if given.is_file() else used
    return os.path.relpath(file).replace(os.sep, "/")


_SUFFIXES = ("", ".py", ".js", ".mjs", ".cjs", ".ts", ".go")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror or error}") from error


def _write_pages(patients: Sequence[_Patient], folder: Path, view: DoctorView) -> None:
    """An index, and for each cell that failed the timeline of its first failed trial."""
    pages: dict[tuple[str, str], str] = {}
    for patient in patients:
        for one in patient.said.outcomes:
            if one.failed:
                name = _file_name(f"{patient.said.function} {one.cell.name}")
                story = folder / f"{name}.story.jsonl"
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    patient.checkup.write_story(one, story)
                except (OSError, StoryError) as error:
                    raise Failure(f"the timeline of {one.cell.name} cannot be written to {folder}: {error}") from error
                _write(folder / f"{name}.html", page(read_view(story)))
                pages[patient.said.function, one.cell.name] = f"{name}.html"
    _write(folder / "index.html", index([patient.said for patient in patients], pages, fixed=[patient.fixed for patient in patients]))
    view.wrote("Verdict and timelines", str(folder / "index.html"))


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in text)


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
    servers = content.get("upstreams", content) if isinstance(content, dict) else None
    written = {name: _server(given) for name, given in servers.items()} if isinstance(servers, dict) else {}
    if not written or None in written.values():
        raise Failure(f"{file} does not hold upstreams. Write one a line: `api.example.com:443: http1,tls,idle=60`.")
    return [f"{name}={server}" for name, server in written.items()]


def _server(given: object) -> str | None:
    """`http1,tls,idle=60`, or the same as a mapping: `{protocol: http1, tls: true, idle: 60}`."""
    match given:
        case str():
            return given
        case {"protocol": str(protocol), **options}:
            return ",".join(
                [protocol, *(str(name) if value is True else f"{name}={value}" for name, value in options.items() if value is not False)]
            )
        case _:
            return None
