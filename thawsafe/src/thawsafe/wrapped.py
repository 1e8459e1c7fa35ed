"""A handler that installs thawsafe and then is the function's own: so that no line of the function changes.

Lambda is told `thawsafe.wrapped.handler` as the handler, and THAWSAFE_HANDLER names the function's own, as in `app.handler`. The layer's
wrapper script does both: AWS_LAMBDA_EXEC_WRAPPER=/opt/thawsafe-exec.
"""

from __future__ import annotations

import os
from importlib import import_module

from ._install.environment import install_and_tell
from ._runtime.invocation import handler as marked


def _own_handler(name: str) -> object:
    """The function's own handler, found as Lambda's Python runtime finds it. Raises RuntimeError when none is named."""
    module, dot, function = name.rpartition(".")
    if not dot:
        raise RuntimeError(
            f"THAWSAFE_HANDLER is {name!r}. thawsafe.wrapped.handler needs the function's own handler there, as in app.handler; "
            "with the layer, AWS_LAMBDA_EXEC_WRAPPER=/opt/thawsafe-exec sets it."
        )
    return getattr(import_module(module.replace("/", ".")), function)


install_and_tell()
handler = marked(_own_handler(os.environ.get("THAWSAFE_HANDLER", "")))  # type: ignore[type-var] # whatever the runtime can call
