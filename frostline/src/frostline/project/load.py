"""From what the user pointed at to a `Project`: the entry of this room.

Which template is used, when there is a build: `sam build` leaves `.aws-sam/build/template.yaml` and, beside it, each function's folder with its dependencies.
That build is used as long as neither the template nor any source file is newer than it. When something is newer, the sources are used, so that an edit
takes effect at the next invocation, unless a source folder cannot run by itself (it has dependencies to install, or something to compile): then the
build is used, and a note says that it is out of date. A note always says which.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..core.function import UNRESERVED_QUEUE, Function
from . import archive, detect, sam
from .environ import check_variables
from .fingerprint import aws_time, code_sha256, fingerprint, look, stamp
from .missing import missing
from .model import Deployment, Launch, Progress, Project, ProjectError, Refused, Source
from .packages import packages
from .runtimes import launch
from .template import NAMES

_BUILD = Path(".aws-sam") / "build" / "template.yaml"
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def load(source: Source, progress: Progress = lambda message: None) -> Project:
    """Read a project. May take long once, when a runtime client is installed; `progress` is told. Raises `ProjectError`."""
    path = Path(os.path.abspath(source.path))
    source = msgspec.structs.replace(source, path=path, cache=Path(os.path.abspath(source.cache)))
    check_variables(source.environment, "--env")
    try:
        if not path.exists():
            raise ProjectError(f"{source.path}: there is no such file or directory. Name a template, a folder, a zip or a file.")
        template = _template_at(path, source)
        project = _from_template(template, source, progress) if template else _from_code(path, source, progress)
    except OSError as error:
        raise ProjectError(f"{error.filename or path}: cannot be used ({error.strerror}).") from None
    return msgspec.structs.replace(project, stamp=stamp(project))


def reread(project: Project, progress: Progress = lambda message: None) -> Project:
    """The project as it is now: for hot reload. Functions whose revision is the same are the same. Raises `ProjectError`."""
    return load(project.source, progress)


def _template_at(path: Path, source: Source) -> Path | None:
    """The template that `path` is or contains; None for bare code."""
    if path.is_file():
        return path if path.suffix in (".yaml", ".yml", ".json") else None
    if source.handler is not None or source.runtime is not None:
        return None
    return next((path / name for name in NAMES if (path / name).is_file()), None)


# Templates -------------------------------------------------------------------------------------------------------------------------------


def _from_template(file: Path, source: Source, progress: Progress) -> Project:
    build = file.parent / _BUILD
    notes: list[str] = []
    found = None
    used = file
    if build.is_file() and build != file:
        used, note = _choose(file, build, source)
        notes.append(note)
    found = sam.read(used, source)
    deployments: list[Deployment] = []
    refused = list(found.refused)
    for described in found.functions:
        try:
            deployments.append(_deployment(described, source, progress))
        except ProjectError as error:
            message = error.message if error.message.startswith(str(used)) else f"{described.where}: {error.message}"
            refused.append(Refused(described.logical_id, message))
    if not deployments:
        if refused:
            raise ProjectError("\n".join(refusal.message for refusal in refused))
        raise ProjectError(f"{used}: describes no function. Looked for resources of type {sam.SERVERLESS} and {sam.PLAIN}.")
    watched = (file, build, *found.watched)
    return Project(
        source=source,
        functions=tuple(deployments),
        watched=tuple(dict.fromkeys(watched)),
        origin=used,
        refused=tuple(refused),
        notes=_notes((*notes, *found.notes), deployments),
    )


def _choose(file: Path, build: Path, source: Source) -> tuple[Path, str]:
    """The template to use, and the sentence that says so."""
    built = build.stat().st_mtime
    try:
        sources = sam.read(file, source)
        newer = [path for path in (file, *sources.watched) if look((path,)).newest > built]
        runnable = not sources.refused and not any(_needs_build(described.package) for described in sources.functions)
    except ProjectError:
        # The sources cannot be used as they are; what was built from them earlier can.
        newer, runnable = [file], False
    shown = _BUILD.parent
    if not newer:
        return build, f"Using what `sam build` made, in {shown}."
    if runnable:
        return file, f"Using the sources: {newer[0].name} is newer than what `sam build` made in {shown}."
    return build, f"Using what `sam build` made, in {shown}, although {newer[0].name} is newer: the sources need a build. Run `sam build`."


def _needs_build(folder: Path) -> bool:
    """Whether a source folder has dependencies that are not in it."""
    requirements = folder / "requirements.txt"
    if requirements.is_file() and any(
        line.strip() and not line.lstrip().startswith("#") for line in requirements.read_text(errors="replace").splitlines()
    ):
        return True
    package = folder / "package.json"
    if package.is_file() and not (folder / "node_modules").is_dir():
        try:
            content = json.loads(package.read_text(errors="replace"))
        except ValueError:
            return False
        return isinstance(content, dict) and bool(content.get("dependencies"))
    return any((folder / name).is_file() for name in ("go.mod", "Cargo.toml", "pyproject.toml", "Makefile", "tsconfig.json"))


# Code without a template -----------------------------------------------------------------------------------------------------------------


def _from_code(path: Path, source: Source, progress: Progress) -> Project:
    if path.is_dir():
        found = detect.folder(path, path, source)
    elif detect.is_archive(path):
        found = detect.folder(archive.extract(path, source.cache), path, source)
    else:
        found = detect.single_file(path, source)
    name = source.name or (path.name if path.is_dir() else path.stem)
    described = sam.Described(
        function=Function(
            name=_function_name(name),
            runtime=found.runtime,
            handler=found.handler,
            revision="",
            timeout_s=source.timeout_s if source.timeout_s is not None else 3.0,
            memory_mb=source.memory_mb or 128,
            environment=dict(source.environment),
            region=source.region,
            architecture=_machine(),
            queue_limit=UNRESERVED_QUEUE,
        ),
        code=found.code,
        package=path if path.is_file() and detect.is_archive(path) else found.code,
        layers=(),
        logical_id=name,
        where=str(path),
    )
    deployment = _deployment(described, source, progress)
    return Project(source=source, functions=(deployment,), watched=(path,), origin=path, notes=_notes(found.notes, [deployment]))


def _function_name(text: str) -> str:
    """A file's name as a function's: AWS allows letters, digits, `-` and `_`, 64 of them."""
    return (
        "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in text)[:64].strip("-")
        or "function"
    )


# Both ------------------------------------------------------------------------------------------------------------------------------------


def _deployment(described: sam.Described, source: Source, progress: Progress) -> Deployment:
    function = described.function
    made = launch(
        function.runtime,
        function.handler,
        code=described.code,
        layers=described.layers,
        variables=function.environment,
        cache=source.cache,
        progress=progress,
    )
    # What is in a layer is not looked at, and an archive was built by somebody who is not here to build it again.
    if not described.layers and described.package.is_dir() and (lacks := missing(function.name, function.runtime, described.code)):
        made = msgspec.structs.replace(made, notes=(*made.notes, lacks))
    seen = look((described.package,))
    extensions = tuple(sorted(set(_extensions(described.layers))))
    deployment = Deployment(
        function=msgspec.structs.replace(function, extensions=extensions, packages=packages(function, described.code)),
        code=described.code,
        layers=described.layers,
        launch=made,
        logical_id=described.logical_id,
    )
    complete = msgspec.structs.replace(
        deployment.function,
        revision=fingerprint(deployment),
        code_sha256=code_sha256(described.package),
        code_size=seen.size,
        last_modified=aws_time(seen.newest),
    )
    return msgspec.structs.replace(deployment, function=complete)


def _extensions(layers: Iterable[Path]) -> Iterator[str]:
    """The files that will be in `/opt/extensions`. One that is not executable counts, too: AWS tries to start it, and fails the function."""
    for layer in layers:
        folder = layer / "extensions"
        if folder.is_dir():
            yield from (path.name for path in folder.iterdir() if path.is_file())


def _machine() -> str:
    return _MACHINES.get(platform.machine(), "x86_64")


def _notes(notes: Iterable[str], deployments: list[Deployment]) -> tuple[str, ...]:
    launches: list[Launch] = [deployment.launch for deployment in deployments]
    foreign = [deployment.function.name for deployment in deployments if deployment.function.architecture != _machine()]
    told = [*notes, *(note for made in launches for note in made.notes)]
    if foreign and any(deployment.launch.argv for deployment in deployments):
        told.append(
            f"Built for another processor than this machine's {_machine()}: {', '.join(foreign)}. Compiled parts of it will not load."
        )
    return tuple(dict.fromkeys(told))


__all__ = ["load", "reread"]
