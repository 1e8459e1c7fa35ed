"""`python -m frostline` is the command `frostline`."""

from .cli.main import main

if __name__ == "__main__":
    main(prog_name="frostline")
