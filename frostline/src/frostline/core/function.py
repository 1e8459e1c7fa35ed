"""A function's configuration, in Lambda's own words.

This is what a function *is* for the control plane: names, limits and the list of its extensions. Where its code lies and how its
runtime is started are questions for `project`; this module knows no paths.
"""

from __future__ import annotations

from msgspec import Struct

ACCOUNT_ID = "123456789012"
"""The account that local ARNs carry: the one AWS uses in its own documentation."""

DEFAULT_TIMEOUT_S = 3.0
"""AWS: "The default for this setting is 3 seconds, but you can adjust this in increments of 1 second up to a maximum of 900"."""

DEFAULT_MEMORY_MB = 128
DEFAULT_EPHEMERAL_MB = 512
DEFAULT_CONCURRENCY = 10
"""Environments at once for a function that reserves no concurrency. AWS's account default is 1,000; a laptop's is not."""
UNRESERVED_QUEUE = 1000 - DEFAULT_CONCURRENCY
"""How many more invocations of such a function wait: as many are accepted at once as by AWS's account default, and none is refused that AWS would take."""


class Function(Struct, frozen=True, kw_only=True):
    """One function: its configuration, and a revision that changes whenever code or configuration does."""

    name: str
    runtime: str
    """AWS's identifier, for example `python3.12`, `nodejs20.x`, `provided.al2023`, `go1.x`."""
    handler: str
    revision: str
    """Opaque; two functions with equal revisions run the same code with the same configuration."""
    memory_mb: int = DEFAULT_MEMORY_MB
    timeout_s: float = DEFAULT_TIMEOUT_S
    ephemeral_mb: int = DEFAULT_EPHEMERAL_MB
    """Size limit of `/tmp`, in MiB."""
    environment: dict[str, str] = {}
    description: str = ""
    role: str = f"arn:aws:iam::{ACCOUNT_ID}:role/frostline-local"
    region: str = "us-east-1"
    architecture: str = "x86_64"
    concurrency: int = DEFAULT_CONCURRENCY
    """Most environments at once; 0 refuses every invocation, as on AWS."""
    queue_limit: int = 0
    """Invocations that wait when so many environments are busy; over it, `TooManyRequestsException`. 0 where concurrency is reserved, as on AWS."""
    extensions: tuple[str, ...] = ()
    """File names of the executables in `/opt/extensions`, in the order in which they are started."""
    layers: tuple[str, ...] = ()
    """ARNs or paths of the layers, as the user wrote them; for display."""
    code_sha256: str = ""
    code_size: int = 0
    last_modified: str = ""
    """ISO 8601 as AWS prints it: `2026-11-22T10:00:00.000+0000`."""
    log_format: str = "Text"
    """`Text` or `JSON` (AWS's `LoggingConfig.LogFormat`)."""
    application_log_level: str | None = None
    system_log_level: str | None = None
    maximum_retry_attempts: int = 2
    """Retries of an asynchronous invocation that failed (0 to 2)."""
    maximum_event_age_s: float = 21600.0
    tracing: str = "PassThrough"
    packages: tuple[str, ...] = ()
    """What its code imports, as far as it was looked at: names by which its language knows them. They tell which client libraries it uses."""

    @property
    def arn(self) -> str:
        """The unqualified ARN, in the local account."""
        return f"arn:aws:lambda:{self.region}:{ACCOUNT_ID}:function:{self.name}"

    @property
    def log_group(self) -> str:
        """One log group per function, named as CloudWatch names it."""
        return f"/aws/lambda/{self.name}"
