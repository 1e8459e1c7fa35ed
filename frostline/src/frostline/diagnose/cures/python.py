"""Cures for Python's clients.

Sources: the clients' documentation and code, read and run in 2026 (requests 2.34, urllib3 2.8, httpx 0.28, aiohttp 3.14, botocore 1.44,
grpcio 1.85, redis-py 8.1, psycopg_pool 3.3, SQLAlchemy 2.1, asyncpg 0.32, pymongo 4.20).
"""

from __future__ import annotations

from .table import RETRY_POLICY, Table

_SAFE = (
    "import thawsafe; thawsafe.install()",
    "Before clients are made (pip install thawsafe). Judges pooled connections when they are used first after a freeze, before anything is written.",
)
_ONLY_IF_SAFE = "Sends the request again on a new connection: only for requests that may be carried out twice."

STALE: Table = {
    "requests": (
        _SAFE,
        (
            "adapter = HTTPAdapter(max_retries=Retry(total=1, allowed_methods=None)); session.mount('https://', adapter); session.mount('http://', adapter)",
            f"requests keeps idle connections without a limit and does not retry by itself. {_ONLY_IF_SAFE}",
        ),
        (
            "with requests.Session() as session: ...",
            "One session for each invocation: nothing is left open for the freeze, and each one pays for its connections.",
        ),
    ),
    "urllib3": (
        _SAFE,
        ("PoolManager(retries=Retry(total=1, allowed_methods=None))", f"Idle connections are kept without a limit. {_ONLY_IF_SAFE}"),
    ),
    "httpx": (
        (
            "httpx.Client(limits=httpx.Limits(keepalive_expiry={age_s}))",
            "Shorter than the server's limit (the default is 5 s; None is no limit). Time spent frozen counts.",
        ),
        _SAFE,
    ),
    "aiohttp": (
        (
            "aiohttp.TCPConnector(keepalive_timeout={age_s})",
            "Shorter than the server's limit (the default is 15 s). Time spent frozen counts.",
        ),
        _SAFE,
    ),
    "http.client": (
        (
            "connection.close()",
            "At the end of each invocation: `http.client` never looks whether the server has closed. Or use a client with a pool.",
        ),
    ),
    "botocore": (
        (
            "Config(retries={{'mode': 'standard', 'total_max_attempts': 3}})",
            f"botocore keeps idle connections without a limit. {_ONLY_IF_SAFE}",
        ),
        _SAFE,
    ),
    "grpcio": (
        _SAFE,
        (f"options=[(\"grpc.service_config\", '{RETRY_POLICY}')]", _ONLY_IF_SAFE),
    ),
    "redis-py": (
        (
            "Redis(health_check_interval={age_int}, retry=Retry(ExponentialBackoff(), 3))",
            "A PING before the first command on a connection that was idle for longer.",
        ),
        _SAFE,
    ),
    "psycopg_pool": (
        (
            "ConnectionPool(check=ConnectionPool.check_connection)",
            "An empty query whenever a connection is taken from the pool: one round trip.",
        ),
        _SAFE,
    ),
    "psycopg": (
        (
            "with psycopg.connect(...) as connection: ...",
            "In each invocation; or a `psycopg_pool.ConnectionPool` with `check=ConnectionPool.check_connection`, which looks before it hands one out.",
        ),
    ),
    "SQLAlchemy": (
        ("create_engine(..., pool_pre_ping=True)", "A round trip whenever a connection is taken from the pool."),
        ("create_engine(..., poolclass=NullPool)", "No pool: every use pays for a connection."),
        _SAFE,
    ),
    "asyncpg": (
        _SAFE,
        (
            "await pool.expire_connections()",
            "At the start of each invocation: nothing older is used. `max_inactive_connection_lifetime` is no cure: its timer comes second after a freeze.",
        ),
    ),
    "pymongo": (("MongoClient(maxIdleTimeMS={age_ms})", "Shorter than the server's limit. Time spent frozen counts."), _SAFE),
    "websockets": (("async for websocket in connect(...): ...", "Connects anew when the connection is over."),),
}

KEEPALIVE: Table = {
    "grpcio": (
        (
            'leave out ("grpc.keepalive_time_ms", ...) and ("grpc.keepalive_permit_without_calls", 1)',
            "No PING can be under way when the environment freezes. A dead connection is then noticed by a request's deadline only: give each one a timeout.",
        ),
        _SAFE,
    ),
    "websockets": (
        (
            "connect(..., ping_interval=None)",
            "No PING can be under way at a freeze. Send one at the start of an invocation, if a dead connection has to be noticed.",
        ),
    ),
}

_NEW_ONE = "A limit for its answer does not save the request that finds out."

BLACK_HOLE: Table = {
    "requests": (
        _SAFE,
        (
            "session.post(url, timeout=(3, 5))",
            f"requests waits for ever by default; each call needs its own limits, to connect and to read. {_NEW_ONE}",
        ),
    ),
    "urllib3": (_SAFE, ("PoolManager(timeout=Timeout(connect=3, read=5))", f"It waits for ever by default. {_NEW_ONE}")),
    "httpx": (
        ("httpx.Client(limits=httpx.Limits(keepalive_expiry={age_s}))", "An old connection is not used at all. Time spent frozen counts."),
        ("httpx.Client(timeout=httpx.Timeout(5, connect=3))", f"Five seconds is the default. {_NEW_ONE}"),
        _SAFE,
    ),
    "aiohttp": (
        ("aiohttp.TCPConnector(keepalive_timeout={age_s})", "An old connection is not used at all. Time spent frozen counts."),
        ("ClientSession(timeout=ClientTimeout(sock_connect=3, sock_read=5))", f"The default is 300 s for the whole request. {_NEW_ONE}"),
        _SAFE,
    ),
    "http.client": (
        ("connection.close()", "At the end of each invocation: it never looks how old its connection is. Or use a client with a pool."),
        ("HTTPSConnection(host, timeout=5)", f"It waits for ever by default. {_NEW_ONE}"),
    ),
    "botocore": (
        _SAFE,
        (
            "Config(connect_timeout=1, read_timeout=2)",
            "The default is 60 s for each; then the request is sent again, so both together have to fit into the function's own time limit.",
        ),
    ),
    "grpcio": (
        _SAFE,
        ("stub.Method(request, timeout=2)", f"Without a timeout a call waits for ever. {_NEW_ONE}"),
    ),
    "redis-py": (
        ("Redis(socket_timeout=2, socket_connect_timeout=2)", "Five seconds is the default, and then the command is sent again."),
        _SAFE,
    ),
    "psycopg": (
        (
            "with psycopg.connect(...) as connection: ...",
            "In each invocation; or a `psycopg_pool.ConnectionPool` with `check=` and `tcp_user_timeout`, which looks before it hands one out.",
        ),
        (
            "connect(..., options='-c statement_timeout=5000', tcp_user_timeout=3000)",
            f"The kernel gives up on a connection whose data nobody acknowledges. {_NEW_ONE}",
        ),
    ),
    "psycopg_pool": (
        _SAFE,
        (
            "ConnectionPool(max_size=1, min_size=1, check=ConnectionPool.check_connection, kwargs={{'tcp_user_timeout': 1000}})",
            "It looks before it hands a connection out; the kernel gives up on one whose data nobody acknowledges, and the pool waits after a second one.",
        ),
    ),
    "SQLAlchemy": (
        (
            "create_engine(..., pool_pre_ping=True, connect_args={{'tcp_user_timeout': 2000}})",
            "It looks before it hands a connection out; for psycopg, the kernel gives up on one whose data nobody acknowledges.",
        ),
        ("create_engine(..., pool_recycle=200)", "An old connection is not used at all. Time spent frozen counts."),
        _SAFE,
    ),
    "asyncpg": (
        _SAFE,
        ("await pool.expire_connections()", "At the start of each invocation: nothing older is used."),
        ("create_pool(..., command_timeout=5)", f"Without it a query waits for ever. {_NEW_ONE}"),
    ),
    "pymongo": (
        ("MongoClient(maxIdleTimeMS={age_ms})", "An old connection is not used at all. Time spent frozen counts."),
        ("MongoClient(timeoutMS=5000)", f"One limit for the whole operation. {_NEW_ONE}"),
        _SAFE,
    ),
    "websockets": (("async with asyncio.timeout(5): await websocket.recv()", "Reading has no limit of its own."),),
}

REUSE: Table = {
    "requests": (("SESSION = requests.Session()", "At module level: `requests.post()` opens and closes a connection for each call."),),
    "urllib3": (("HTTP = urllib3.PoolManager()", "At module level."),),
    "httpx": (("CLIENT = httpx.Client()", "At module level: `httpx.post()` opens and closes a connection for each call."),),
    "aiohttp": (
        (
            "one ClientSession and one event loop at module level",
            "`asyncio.run()` makes a loop for each invocation, and a session cannot move to another one.",
        ),
    ),
    "http.client": (("CONNECTION = http.client.HTTPSConnection(host)", "At module level; or a client with a pool."),),
    "botocore": (("CLIENT = boto3.client(...)", "At module level."),),
    "grpcio": (("CHANNEL = grpc.secure_channel(...)", "At module level: a channel is made to be shared."),),
    "redis-py": (("REDIS = redis.Redis(...)", "At module level."),),
    "psycopg": (("POOL = psycopg_pool.ConnectionPool(..., min_size=1, check=ConnectionPool.check_connection)", "At module level."),),
    "SQLAlchemy": (("ENGINE = create_engine(..., pool_pre_ping=True)", "At module level, and not with NullPool."),),
    "pymongo": (("CLIENT = MongoClient(...)", "At module level."),),
}

CROWD: Table = {
    "requests": (("HTTPAdapter(pool_maxsize=10, pool_block=True)", "No more than so many connections at once; others wait."),),
    "urllib3": (("PoolManager(maxsize=10, block=True)", "No more than so many connections at once; others wait."),),
    "httpx": (("httpx.Limits(max_connections=10)", "The default is 100."),),
    "aiohttp": (("TCPConnector(limit_per_host=10)", "The default is no limit for each host, and 100 in all."),),
    "botocore": (("Config(max_pool_connections=10)", "And no more threads than that."),),
    "redis-py": (("redis.BlockingConnectionPool(max_connections=10)", "The default is 100."),),
    "SQLAlchemy": (("create_engine(..., pool_size=5, max_overflow=0)", "The default is 5 and 10 more."),),
    "psycopg_pool": (("ConnectionPool(min_size=1, max_size=4)", "An environment serves one invocation at a time."),),
    "asyncpg": (("create_pool(..., min_size=1, max_size=4)", "The default opens ten at once."),),
}

HELD_BACK: Table = {
    "grpcio": (
        (
            '("grpc.initial_reconnect_backoff_ms", 100), ("grpc.dns_min_time_between_resolutions_ms", 1000)',
            "The next attempt comes sooner. By default it waits 1 s, then longer, and looks a name up once in 30 s.",
        ),
    ),
}
