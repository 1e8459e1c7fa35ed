"""What holds for every test, however and on whatever machine they are run."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Hypothesis judges no test by how long it took, as a busy machine is not a failing test, and it looks at the same examples in every run of the
# same code, so that what passes today passes tomorrow. To look further: `scripts/test --hypothesis-profile=explore`.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("gate", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("gate")

# `nohup` and a shell's `&` have these ignored, which programs pass on to those they start. What tests start and signal must be as a terminal
# starts it: a handler, other than being ignored, is not passed on.
for signum in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, lambda *_: None)


@pytest.fixture(scope="module")
def anybodys() -> Iterator[Path]:
    """A folder that other users may enter, too. pytest's own may be closed to them at any moment: by the start of another pytest of this user's."""
    folder = Path(tempfile.mkdtemp(prefix="frostline-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
