"""`frostline`: the command's root."""

from __future__ import annotations

import click

from .. import __version__
from .demo import demo
from .doctor import doctor
from .invoke import invoke
from .logs import logs
from .story import story
from .up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="frostline")
def main() -> None:
    """A local AWS Lambda that really freezes functions between invocations."""


main.add_command(up)
main.add_command(invoke)
main.add_command(logs)
main.add_command(story)
main.add_command(demo)
main.add_command(doctor)
