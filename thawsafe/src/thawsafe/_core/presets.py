"""The configurations for each environment, each value with its reason. Sources are in docs/thawsafe.md.

The hops that close or forget an idle connection, and by which the ages are chosen: gunicorn 2 s; uvicorn, and Node before 26, 5 s; ALB 60 s;
Azure's load balancer 240 s; Global Accelerator 340 s; AWS's NAT gateway, NLB and VPC endpoint 350 s; Google's NAT 1200 s.
"""

from __future__ import annotations

from .configurations import NO_KEEPALIVE, Configuration, Keepalive, Retries


def lambda_() -> Configuration:
    """For a Lambda function, SnapStart included: frozen between invocations, one invocation at a time."""
    return Configuration(
        environment="lambda",
        connect_timeout=2.0,  # within a region about 1 ms; a lost SYN is sent again after 1 s (RFC 6298), so one may be lost
        tls_timeout=3.0,  # two round trips and the certificate checks, on the share of a CPU that 128 MB get
        request_timeout=10.0,  # what takes longer is an outage to most callers; the time that is left of the invocation counts as well
        idle_age=50.0,  # ALB closes after 60 s, the shortest of AWS's hops; 10 s for the way and for clocks that run late
        connection_age=900.0,  # as long as an invocation can take; the addresses behind a name change within minutes
        trusted_idle=1.0,  # half of the shortest limit found in servers (gunicorn, 2 s): until then nobody has closed
        probe_timeout=0.25,  # a round trip within a region takes about 1 ms, to another continent up to 0.25 s
        unannounced_freezes=True,  # unless the handler is marked nothing tells a freeze: the clocks run on
        connections_per_host=10,  # one invocation at a time: as many as its threads, and botocore's own number
        connections=50,  # of the 1024 file descriptors that an environment has
        keepalive=NO_KEEPALIVE,  # a probe that is due in the freeze is late at the thaw: at best useless, at worst a false alarm
        retries=Retries(attempts=2, within=3.0),  # 3 s is a function's default timeout: nothing begins after it
    )


def microvm() -> Configuration:
    """For a Lambda MicroVM: suspended as a whole when idle, for up to hours, and started from a snapshot.

    AWS documents no variable that tells a MicroVM from a container, so `detect()` knows it by THAWSAFE_ENVIRONMENT=microvm. Call
    `thawsafe.restored()` in its `/run` and `/resume` hooks.
    """
    return lambda_().replace(
        environment="microvm",
        connect_timeout=4.0,  # a session's peers are anywhere, not in its region: two lost SYNs
        request_timeout=30.0,  # no invocation ends it
        connections_per_host=20,  # a server with many requests at a time
        connections=100,
    )


def cloud_run() -> Configuration:
    """For Cloud Run and the like: no CPU between requests, many requests at a time."""
    return lambda_().replace(
        environment="cloud_run",
        connections_per_host=40,  # 80 requests at a time is Cloud Run's default; half of them wait for the same peer
        connections=200,
    )


def in_region() -> Configuration:
    """For a server that runs all the time, near its peers: a container, a virtual machine."""
    return Configuration(
        environment="in_region",
        connect_timeout=2.0,  # as in lambda_()
        tls_timeout=3.0,  # as in lambda_()
        request_timeout=15.0,  # half of the 30 s that callers behind a gateway have (API Gateway: 29 s), so that one can try again
        idle_age=50.0,  # below ALB's 60 s
        connection_age=3000.0,  # below ALB's client keepalive of 3600 s, which ends a connection whatever it carries
        trusted_idle=1.0,  # only where a clock proves a suspension: a paused VM or container
        probe_timeout=0.25,  # as in lambda_()
        unannounced_freezes=False,  # nobody freezes it, and who does moves a clock
        connections_per_host=50,  # a server's threads; below the 128 streams that ALB allows on one HTTP/2 connection
        connections=200,
        keepalive=Keepalive(interval=60.0, timeout=20.0, while_idle=True),  # below every limit on the way but the servers' own
        retries=Retries(attempts=2, within=5.0),
    )


def low_latency() -> Configuration:
    """For a server that would rather fail soon than answer late."""
    return Configuration(
        environment="low_latency",
        connect_timeout=1.1,  # one lost SYN, sent again after 1 s, and 0.1 s for the way
        tls_timeout=1.0,
        request_timeout=1.0,  # the caller has something better to do after it
        idle_age=20.0,  # a reset costs the one request that must not be late: so far below ALB's 60 s
        connection_age=900.0,  # a peer that was replaced is left within minutes
        trusted_idle=1.0,  # as in in_region()
        probe_timeout=0.05,  # a new connection within a region is faster than waiting longer
        unannounced_freezes=False,
        connections_per_host=100,  # a request that waits for a connection is late
        connections=400,
        keepalive=Keepalive(interval=10.0, timeout=3.0, while_idle=True),  # a dead peer is known after 13 s at most
        retries=Retries(attempts=1, within=0.5),  # half of what a request may take
    )


def laptop() -> Configuration:
    """For a developer's machine: sleeps, changes networks, reaches everything over the internet."""
    return Configuration(
        environment="laptop",
        connect_timeout=8.0,  # SYNs at 0, 1, 3 and 7 s: three lost ones on a bad wireless network
        tls_timeout=10.0,  # four round trips to another continent, some of them lost
        request_timeout=30.0,
        idle_age=50.0,  # below ALB's 60 s, and below the 4 min after which home routers and Azure forget
        connection_age=900.0,
        trusted_idle=1.0,  # after sleep every connection has to prove itself: the network may be another
        probe_timeout=0.5,  # twice a round trip to another continent
        unannounced_freezes=False,  # sleep moves the boot clock, and that is seen
        connections_per_host=10,
        connections=50,
        keepalive=Keepalive(interval=45.0, timeout=15.0, while_idle=True),  # keeps a home router from forgetting, and notices when it did
        retries=Retries(attempts=3, within=15.0),
    )
