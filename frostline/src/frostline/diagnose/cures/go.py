"""Cures for Go's clients.

Sources: the documentation and code of net/http and database/sql (Go 1.26), grpc-go 1.85, go-redis 9 and pgx 5.12, read in 2026; net/http and
grpc-go were run.
"""

from __future__ import annotations

from .table import RETRY_POLICY, Table

_ONLY_IF_SAFE = "Sends the request again on a new connection: only for requests that may be carried out twice."

_NEW_CHANNEL = (
    "if time.Since(last.Round(0)) > {age_go} {{ conn.Close(); conn, err = grpc.NewClient(...) }}",
    "Before a call; `last` is when the last one ended, Round(0) the wall clock. `WithIdleTimeout` is no cure: its timer often comes second after a freeze.",
)

_PGX_LIFETIME = (
    "config.MaxConnLifetime = {age_go}; through database/sql: db.SetConnMaxLifetime({age_go})",
    "Looked at whenever a connection is taken from the pool (pgx 5.10 and later), so it holds after a freeze, too.",
)

_SQL_LIFETIME = (
    "db.SetConnMaxLifetime({age_go})",
    "Looked at whenever a connection is taken from the pool. `SetConnMaxIdleTime` is no cure: a goroutine looks at it, and is late after a freeze.",
)

STALE: Table = {
    "net/http": (
        (
            "Transport.IdleConnTimeout = {age_go}",
            "Shorter than the server's: zero is no limit, and a Transport built by hand has zero. Compared with the wall clock, so time spent frozen counts.",
        ),
        ("Transport.DisableKeepAlives = true", "No connection is reused; every request pays for one."),
        (
            'request.Header["Idempotency-Key"] = nil',
            f"Go retries such a request by itself when a reused connection was over. {_ONLY_IF_SAFE}",
        ),
    ),
    "grpc-go": (
        _NEW_CHANNEL,
        (f"grpc.WithDefaultServiceConfig(`{RETRY_POLICY}`)", _ONLY_IF_SAFE),
    ),
    "go-redis": (
        (
            "redis.Options{{ConnMaxIdleTime: {age_go}}}",
            "Shorter than the server's limit (the default is 30 min). Time spent frozen counts.",
        ),
    ),
    "pgx": (
        (
            "pool, err := pgxpool.New(ctx, url)",
            "Instead of one connection: the pool pings what was idle for a second before it hands it out.",
        ),
        _PGX_LIFETIME,
    ),
    "database/sql": (_SQL_LIFETIME,),
    "mongo-driver": (("options.Client().SetMaxConnIdleTime({age_go})", "Shorter than the server's limit. Time spent frozen counts."),),
}

KEEPALIVE: Table = {
    "grpc-go": (
        (
            "leave out grpc.WithKeepaliveParams(...)",
            "No PING can be under way when the environment freezes. A dead connection is then noticed by a call's deadline only: give each context one.",
        ),
    ),
    "net/http": (
        ("leave http2.Transport.ReadIdleTimeout at zero", "No PING is sent on idle HTTP/2 connections. Give each request a deadline."),
    ),
}

_NEW_ONE = "A limit for its answer does not save the request that finds out."
_UNUSED = "An old connection is not used at all."

BLACK_HOLE: Table = {
    "net/http": (
        (
            "Transport.IdleConnTimeout = {age_go}",
            f"{_UNUSED} Zero is no limit, and a Transport built by hand has zero. Time spent frozen counts.",
        ),
        ("http.Client{{Timeout: 5 * time.Second}}", f"There is no limit by default. {_NEW_ONE}"),
    ),
    "grpc-go": (
        _NEW_CHANNEL,
        ("ctx, cancel := context.WithTimeout(ctx, 2*time.Second)", f"Without a deadline a call waits for ever. {_NEW_ONE}"),
    ),
    "go-redis": (
        (
            "redis.Options{{ReadTimeout: 2 * time.Second, ConnMaxIdleTime: {age_go}}}",
            f"{_UNUSED} Three seconds is the default for an answer, and then the command is sent again.",
        ),
    ),
    "pgx": (
        (
            "config, err := pgxpool.ParseConfig(url); config.PingTimeout = time.Second",
            "The pool pings what was idle for a second before it hands it out; without this limit the ping takes all the time that the query has.",
        ),
        _PGX_LIFETIME,
    ),
    "database/sql": (
        _SQL_LIFETIME,
        ("db.QueryContext(ctx, ...)", f"With a deadline in the context: there is no limit by default. {_NEW_ONE}"),
    ),
    "mongo-driver": (
        ("options.Client().SetMaxConnIdleTime({age_go})", f"{_UNUSED} Time spent frozen counts."),
        ("options.Client().SetTimeout(5 * time.Second)", f"One limit for the whole operation. {_NEW_ONE}"),
    ),
}

REUSE: Table = {
    "net/http": (
        ("var client = &http.Client{{...}}", "At package level, with one Transport: every Transport has a pool of its own."),
        (
            "io.Copy(io.Discard, response.Body); response.Body.Close()",
            "A connection is free again when its response's body was read to the end and closed.",
        ),
    ),
    "grpc-go": (("var conn, _ = grpc.NewClient(...)", "At package level: a channel is made to be shared."),),
    "go-redis": (("var client = redis.NewClient(...)", "At package level."),),
    "pgx": (("var pool, _ = pgxpool.New(...)", "At package level."),),
    "database/sql": (("var db, _ = sql.Open(...)", "At package level; a DB is a pool. `SetMaxIdleConns(0)` turns it off."),),
    "mongo-driver": (("mongo.Connect(...)", "In `init` or `main`, not in the handler."),),
}

CROWD: Table = {
    "net/http": (
        (
            "Transport.MaxConnsPerHost = 10",
            "Zero is no limit. Let `MaxIdleConnsPerHost` be the same: it is 2 by default, and what is more is closed after each use.",
        ),
    ),
    "go-redis": (("redis.Options{{PoolSize: 10}}", "The default is ten for each CPU."),),
    "pgx": (("config.MaxConns = 4", "The default is four, or one for each CPU where there are more."),),
    "database/sql": (("db.SetMaxOpenConns(4)", "Zero is no limit."),),
    "mongo-driver": (("options.Client().SetMaxPoolSize(5)", "The default is 100."),),
}

HELD_BACK: Table = {
    "grpc-go": (
        (
            "grpc.WithConnectParams(...) with BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second",
            "The next attempt comes sooner: by default it waits 1 s, then longer, up to 2 min.",
        ),
    ),
}
