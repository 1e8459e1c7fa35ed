"""Where functions come from, which runtime starts them, and how.

    load(Source(path, ...)) -> Project          read a SAM template, a directory, a zip or a single file   (`load`)
    fingerprint(deployment) -> revision         cheap: changes whenever code or configuration does         (`fingerprint`)
    reread(project) -> Project                  hot reload, when `stamp(project)` changed                  (`load`)
    runtime_environment(...) -> dict            the environment variables AWS gives to a runtime           (`environ`)
    Launch.command(paths) -> argv               how a function's runtime process is started                (`runtimes`)

One way to go wrong that a person should read about: `ProjectError`.
"""

from __future__ import annotations

from .environ import Credentials, extension_environment, runtime_environment
from .fingerprint import fingerprint, stamp
from .load import load, reread
from .model import DEFAULT_PATHS, Deployment, Launch, Paths, Project, ProjectError, Refused, Seen, Source, default_cache
from .runtimes import launch

__all__ = [
    "DEFAULT_PATHS",
    "Credentials",
    "Deployment",
    "Launch",
    "Paths",
    "Project",
    "ProjectError",
    "Refused",
    "Seen",
    "Source",
    "default_cache",
    "extension_environment",
    "fingerprint",
    "launch",
    "load",
    "reread",
    "runtime_environment",
    "stamp",
]
