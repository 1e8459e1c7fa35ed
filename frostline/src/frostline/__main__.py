"""The command `frostline`, which is also `python -m frostline`."""

from __future__ import annotations


def main() -> None:
    """Run it. What it needs is imported here, which can take a second: a Ctrl-C meanwhile ends it without a traceback, too."""
    try:
        from .cli.main import main as command

        command(prog_name="frostline")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
