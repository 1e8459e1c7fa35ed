"""Cures for Node's clients.

Sources: the clients' documentation and code, read and run in 2026 (grpc-js 1.3 to 1.14, undici 7, axios 1, Node 20 to 22, ioredis 5,
node-redis 5, pg 8).
"""

from __future__ import annotations

from .table import RETRY_POLICY, Table

_ONLY_IF_SAFE = "Sends the request again on a new connection: only for requests that may be carried out twice."

_AXIOS_AGENTS = (
    "const kept = {{ keepAlive: true, timeout: {age_ms} }}; "
    "axios.create({{ httpAgent: new http.Agent(kept), httpsAgent: new https.Agent(kept) }})"
)

_PG_POOL = (
    "new Pool({{ idleTimeoutMillis: {age_ms} }})",
    "Instead of a Client. A free connection is closed after this time (the default is 10 s); its timer fires at the thaw, before the next query.",
)
_PG_RELEASE = (
    "const client = await pool.connect(); ... client.release(true)",
    "Closes the connection at the end of the invocation: nothing is left open for the freeze.",
)

_NEW_SESSION = (
    "if (Date.now() - last > {age_ms}) {{ session.destroy(); session = http2.connect(url) }}",
    "Before a request, where `last` is when the last one ended: an old session is not used at all.",
)

STALE: Table = {
    "node:http": (
        (
            "new http.Agent({{ keepAlive: true, timeout: {age_ms} }})",
            "A free socket is closed after this time; its timer fires at the thaw, before the next request.",
        ),
        ("new http.Agent({{ keepAlive: false }})", "Nothing is left open for the freeze; every request pays for a connection."),
    ),
    "node:http2": (_NEW_SESSION,),
    "axios": (
        (
            _AXIOS_AGENTS,
            "A free socket is closed after this time; the timer fires at the thaw.",
        ),
        (
            "axios.create({{ httpAgent: new http.Agent({{ keepAlive: false }}), httpsAgent: new https.Agent({{ keepAlive: false }}) }})",
            "Nothing is left open for the freeze; every request pays for a connection.",
        ),
    ),
    "undici": (
        (
            "new Agent({{ keepAliveTimeout: {age_ms}, keepAliveMaxTimeout: {age_ms} }})",
            "Shorter than the server's limit (the default is 4 s). Pool and Client have these options, too; for fetch, setGlobalDispatcher(agent).",
        ),
        ("new Agent({{ pipelining: 0 }})", "No connection is reused; every request pays for one."),
    ),
    "aws-sdk-js": (
        (
            "new NodeHttpHandler({{ httpsAgent: new https.Agent({{ keepAlive: true, timeout: {age_ms} }}) }})",
            "A free socket is closed after this time; the timer fires at the thaw. ECONNRESET is retried (`maxAttempts`, 3).",
        ),
    ),
    "grpc-js": (
        (
            "'grpc.client_idle_timeout_ms': {age_ms}",
            "Drops a connection without calls after this time (1 s at least). Its timer fires at the thaw, before the next call.",
        ),
        (f"'grpc.service_config': '{RETRY_POLICY}'", _ONLY_IF_SAFE),
    ),
    "ioredis": (
        (
            "new Redis({{ maxRetriesPerRequest: 3 }})",
            "Commands wait for the new connection and are sent again, those too that may have been carried out.",
        ),
    ),
    "node-redis": (
        (
            "createClient({{ socket: {{ socketTimeout: 2000, reconnectStrategy: (n) => Math.min(n * 50, 500) }} }})",
            "Drops a connection that was silent for so long, at the thaw too, and connects anew. A command that was under way fails.",
        ),
    ),
    "pg": (
        _PG_POOL,
        _PG_RELEASE,
    ),
    "mongodb": (("new MongoClient(uri, {{ maxIdleTimeMS: {age_ms} }})", "Shorter than the server's limit. Time spent frozen counts."),),
    "ws": (("socket.on('close', connect)", "Connects anew when the connection is over."),),
}

KEEPALIVE: Table = {
    "grpc-js": (
        (
            "leave out 'grpc.keepalive_time_ms' and 'grpc.keepalive_permit_without_calls'",
            "No PING can be under way when the environment freezes. A dead connection is then noticed by a call's deadline only: give each call one.",
        ),
    ),
    "node:http2": (("no session.ping() from a timer", "Ping at the start of an invocation instead, if a dead session has to be noticed."),),
    "ws": (
        (
            "no ping timer that runs between invocations",
            "Ping at the start of an invocation instead, if a dead connection has to be noticed.",
        ),
    ),
}

_NEW_ONE = "A limit for its answer does not save the request that finds out."

BLACK_HOLE: Table = {
    "node:http": (
        (
            "new http.Agent({{ keepAlive: true, timeout: {age_ms} }})",
            "A free socket is closed after this time: an old one is not used at all. Its timer fires at the thaw.",
        ),
        ("http.request(url, {{ signal: AbortSignal.timeout(5000) }})", f"There is no limit by default. {_NEW_ONE}"),
    ),
    "node:http2": (
        _NEW_SESSION,
        ("stream.setTimeout(2000, () => stream.close(http2.constants.NGHTTP2_CANCEL))", f"There is no limit by default. {_NEW_ONE}"),
    ),
    "axios": (
        (
            _AXIOS_AGENTS,
            "A free socket is closed after this time: an old one is not used at all. Its timer fires at the thaw.",
        ),
        (
            "axios.create({{ timeout: 5000, signal: AbortSignal.timeout(8000) }})",
            f"There is no limit by default; `timeout` does not cover the time to connect. {_NEW_ONE}",
        ),
    ),
    "undici": (
        (
            "new Agent({{ keepAliveTimeout: {age_ms}, keepAliveMaxTimeout: {age_ms} }})",
            "An old connection is not used at all (the default is 4 s). Pool and Client have these options, too; for fetch, setGlobalDispatcher(agent).",
        ),
        ("fetch(url, {{ signal: AbortSignal.timeout(5000) }})", f"The default is 300 s for the head, and 300 s for the body. {_NEW_ONE}"),
    ),
    "aws-sdk-js": (
        ("new NodeHttpHandler({{ connectionTimeout: 3000, requestTimeout: 5000 }})", "There is no limit by default; then it is retried."),
    ),
    "grpc-js": (
        (
            "'grpc.client_idle_timeout_ms': {age_ms}",
            "Drops a connection without calls after this time (1 s at least). Its timer fires at the thaw, before the next call.",
        ),
        ("client.method(request, {{ deadline: Date.now() + 2000 }}, callback)", f"Without a deadline a call waits for ever. {_NEW_ONE}"),
    ),
    "ioredis": (
        (
            "new Redis({{ socketTimeout: 1000 }})",
            "There is no limit by default. Drops a connection without an answer; its commands are sent again, those too that may have been carried out.",
        ),
    ),
    "node-redis": (
        ("createClient({{ socket: {{ socketTimeout: 2000 }}, commandOptions: {{ timeout: 2000 }} }})", "There is no limit by default."),
    ),
    "pg": (
        _PG_POOL,
        _PG_RELEASE,
        ("new Pool({{ query_timeout: 5000, connectionTimeoutMillis: 3000 }})", f"There is no limit by default. {_NEW_ONE}"),
    ),
    "mongodb": (
        ("new MongoClient(uri, {{ maxIdleTimeMS: {age_ms} }})", "An old connection is not used at all. Time spent frozen counts."),
        ("new MongoClient(uri, {{ timeoutMS: 5000 }})", f"One limit for the whole operation. {_NEW_ONE}"),
    ),
    "ws": (("a timer for each answer that is waited for", "A WebSocket has no limit of its own."),),
}

REUSE: Table = {
    "node:http": (
        (
            "const agent = new https.Agent({{ keepAlive: true }})",
            "Outside of the handler; before Node 19 the global agent does not keep connections.",
        ),
    ),
    "node:http2": (("const session = http2.connect(url)", "Outside of the handler, and without `close()` in it."),),
    "axios": (("const client = axios.create({{ httpsAgent: new https.Agent({{ keepAlive: true }}) }})", "Outside of the handler."),),
    "undici": (
        (
            "const agent = new Agent(...)",
            "Outside of the handler; and read or cancel every response's body, or its connection is not free.",
        ),
    ),
    "aws-sdk-js": (("const client = new S3Client(...)", "Outside of the handler; version 2 needs AWS_NODEJS_CONNECTION_REUSE_ENABLED=1."),),
    "grpc-js": (("const client = new Service(...)", "Outside of the handler: a client is made to be shared."),),
    "ioredis": (("const redis = new Redis(...)", "Outside of the handler, and without `quit()` in it."),),
    "node-redis": (("const client = await createClient(...).connect()", "Outside of the handler, and without `close()` in it."),),
    "pg": (("const pool = new Pool({{ max: 1 }})", "Outside of the handler, and without `end()` in it."),),
    "mongodb": (("const client = new MongoClient(uri)", "Outside of the handler, and without `close()` in it."),),
    "ws": (("const socket = new WebSocket(...)", "Outside of the handler."),),
}

CROWD: Table = {
    "node:http": (("new https.Agent({{ keepAlive: true, maxSockets: 10 }})", "The default is no limit."),),
    "axios": (("new https.Agent({{ keepAlive: true, maxSockets: 10 }})", "The default is no limit."),),
    "undici": (("new Agent({{ connections: 10 }})", "The default is no limit for each origin."),),
    "aws-sdk-js": (("new NodeHttpHandler({{ httpsAgent: new https.Agent({{ maxSockets: 10 }}) }})", "The default is 50."),),
    "pg": (("new Pool({{ max: 1 }})", "The default is 10; an environment serves one invocation at a time."),),
    "mongodb": (("new MongoClient(uri, {{ maxPoolSize: 5 }})", "The default is 100."),),
}

HELD_BACK: Table = {
    "grpc-js": (
        (
            "@grpc/grpc-js >= 1.9.12",
            "Versions 1.9.0 to 1.9.7 wait with a new connection for the next name look-up, up to 30 s after the last one; the newer ones do not.",
        ),
        (
            "'grpc.dns_min_time_between_resolutions_ms': 1000, 'grpc.initial_reconnect_backoff_ms': 100",
            "The next look-up and the next attempt come sooner than after 30 s and 1 s.",
        ),
    ),
    "ioredis": (
        ("new Redis({{ retryStrategy: (n) => Math.min(n * 50, 500) }})", "The next attempt comes after half a second at the latest."),
    ),
    "node-redis": (
        (
            "createClient({{ socket: {{ reconnectStrategy: (n) => Math.min(n * 50, 500) }} }})",
            "The next attempt comes after half a second at the latest.",
        ),
    ),
}
