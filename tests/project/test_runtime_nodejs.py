"""The Node.js runtime client against a Runtime API: held to what AWS's own client does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from frostline.project.runtimes import nodejs

from .runtime_api import FakeRuntimeAPI, Running, deployed, running

pytestmark = pytest.mark.skipif(not nodejs.majors(), reason="Node.js is not installed")

HERE = f"nodejs{next(iter(nodejs.majors()), 20)}.x"

Start = Callable[..., Running]


@pytest.fixture
def start(api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a function whose files are given: `start({"index.js": "..."})`."""
    with ExitStack() as stack:

        def begin(
            files: dict[str, str], *, handler: str = "index.handler", runtime: str = "nodejs20.x", open_gate: bool = True, **variables: str
        ) -> Running:
            for name, text in files.items():
                path = tmp_path / "code" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            deployment = deployed(tmp_path / "code", cache, handler=handler, runtime=runtime)
            context: AbstractContextManager[Running] = running(deployment, api, tmp_path, open_gate=open_gate, **variables)
            return stack.enter_context(context)

        yield begin


# Handlers of every form ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"index.js": "exports.handler = async (event) => ({got: event})"}, "index.handler"),
        ({"index.cjs": "exports.handler = async (event) => ({got: event})"}, "index.handler"),
        ({"index.mjs": "export const handler = async (event) => ({got: event})"}, "index.handler"),
        ({"index.js": "export const handler = async (event) => ({got: event})", "package.json": '{"type": "module"}'}, "index.handler"),
        ({"src/app.js": "exports.handler = async (event) => ({got: event})"}, "src/app.handler"),
        ({"src/app.mjs": "export const handler = async (event) => ({got: event})"}, "src/app.handler"),
        ({"index.js": "exports.api = {v1: {handler: async (event) => ({got: event})}}"}, "index.api.v1.handler"),
        ({"node_modules/pkg/index.js": "exports.handler = async (event) => ({got: event})"}, "pkg.handler"),
        ({"index.js": "exports.handler = (event, context, callback) => callback(null, {got: event})"}, "index.handler"),
        ({"index.js": "exports.handler = (event, context) => context.succeed({got: event})"}, "index.handler"),
        ({"index.js": "exports.handler = (event, context) => context.done(null, {got: event})"}, "index.handler"),
        ({"index.js": "exports.handler = (event, context, cb) => { setTimeout(() => cb(null, {got: event}), 20) }"}, "index.handler"),
        ({"index.mjs": "const later = await Promise.resolve(1); export const handler = async (event) => ({got: event})"}, "index.handler"),
    ],
)
def test_handlers_are_found_and_answer(files: dict[str, str], handler: str, api: FakeRuntimeAPI, start: Start) -> None:
    """CommonJS and ES modules, folders, nested exports, packages; promises, callbacks and the context's functions. Two invocations each."""
    start(files, handler=handler)
    for event in ({"n": 1}, {"n": "zwei \U0001f9ca"}):
        sent = api.invoke(event)
        assert (sent.kind, sent.json) == ("response", {"got": event})
        assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("undefined", None), ("null", None), ("'text'", "text"), ("[1]", [1]), ("{toJSON() { return 7 }}", 7), ("() => 1", None)],
)
def test_any_result_becomes_json(answer: str, expected: object, api: FakeRuntimeAPI, start: Start) -> None:
    """Nothing and functions become null, as AWS's client has it; the rest is JSON.stringify."""
    start({"index.js": f"exports.handler = async () => ({answer})"})
    assert api.invoke({}).json == expected


def test_one_connection_serves_all_invocations(api: FakeRuntimeAPI, start: Start) -> None:
    start({"index.js": "let n = 0; exports.handler = async () => ++n"})
    assert [api.invoke({}).json for _ in range(50)] == list(range(1, 51))
    assert api.connections == 1


def test_large_payloads_pass_both_ways(api: FakeRuntimeAPI, start: Start) -> None:
    """Six megabytes come and go in many reads and writes."""
    start({"index.js": "exports.handler = async (event) => event"})
    event = {"text": "ü" * 1_000_000 + "x" * 4_000_000}
    assert api.invoke(event).json == event


def test_the_context_is_awss(api: FakeRuntimeAPI, start: Start) -> None:
    source = """
        exports.handler = async (event, context) => ({
            ...context, remaining: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID, waits: context.callbackWaitsForEmptyEventLoop,
        })"""
    process = start({"index.js": source})
    request_id = api.queue({}, Trace_Id="Root=1-abc", Client_Context='{"custom": {"ü": 1}}', Cognito_Identity='{"cognitoIdentityId": "i"}')
    context = api.took().json
    assert 25_000 < context.pop("remaining") <= 30_000
    assert context == {
        "awsRequestId": request_id,
        "functionName": "code",
        "functionVersion": "$LATEST",
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:test",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/code",
        "logStreamName": "2026/11/22/[$LATEST]0123",
        "clientContext": {"custom": {"ü": 1}},
        "identity": {"cognitoIdentityId": "i"},
        "callbackWaitsForEmptyEventLoop": True,
        "trace": "Root=1-abc",
        "waits": True,
    }
    assert "trace" not in api.invoke({}).json, "a trace id must not outlive its invocation"
    assert process.status is None


def test_a_function_sees_what_it_sees_on_aws(api: FakeRuntimeAPI, start: Start) -> None:
    source = """
        const fs = require('fs');
        exports.handler = async () => ({argv: process.argv, env: process.env, cwd: process.cwd(), fds: fs.readdirSync('/proc/self/fd'),
                                        awslambda: Object.keys(globalThis.awslambda)})"""
    process = start({"index.js": source})
    seen = api.invoke({}).json
    assert seen["argv"][1:] == [f"{process.paths.runtime}/index.cjs"]
    assert seen["env"] == process.environment
    assert seen["env"]["NODE_PATH"].split(":")[:2] == [
        f"{process.paths.opt}/nodejs/node20/node_modules",
        f"{process.paths.opt}/nodejs/node_modules",
    ]
    assert seen["cwd"] == process.paths.task
    assert seen["awslambda"] == ["streamifyResponse", "HttpResponseStream"]


def test_the_function_is_loaded_only_after_the_gate_opened(api: FakeRuntimeAPI, start: Start) -> None:
    process = start({"index.js": "console.log('loaded'); exports.handler = async () => 1"}, open_gate=False)
    assert not api.waiting.acquire(timeout=0.5)
    assert process.log == ""
    process.open_gate()
    assert api.invoke({}).json == 1
    assert process.log.endswith("\tundefined\tINFO\tloaded\n")


def test_a_process_whose_gate_is_dropped_ends_quietly(start: Start) -> None:
    process = start({"index.js": "console.log('loaded'); exports.handler = async () => 1"}, open_gate=False)
    process.close_gate()
    assert process.wait() == 0
    assert process.log == ""


@pytest.mark.parametrize("source", ["const shared = require('shared'); exports.handler = async () => shared.where", None])
def test_packages_in_layers_are_found(source: str | None, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """By `require`, and, as AWS adds to Node, by `import`."""
    package = tmp_path / "layer" / "nodejs" / "node_modules" / "shared"
    package.mkdir(parents=True)
    (package / "index.js").write_text("exports.where = 'layer'")
    code = tmp_path / "code"
    code.mkdir()
    if source:
        (code / "index.js").write_text(source)
    else:
        (code / "index.mjs").write_text("import shared from 'shared'; export const handler = async () => shared.where")
    (tmp_path / "template.yaml").write_text(
        """
Resources:
  Layer: {Type: 'AWS::Serverless::LayerVersion', Properties: {ContentUri: layer}}
  Layered: {Type: 'AWS::Serverless::Function', Properties: {Handler: index.handler, Runtime: nodejs20.x, CodeUri: code, Layers: [!Ref Layer]}}
"""
    )
    with running(deployed(tmp_path / "template.yaml", cache), api, tmp_path):
        assert api.invoke({}).json == "layer"


def test_code_preloaded_by_node_options_runs_in_its_order(api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """Node itself runs it, before anything could wait: such a function has no gate."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "tracer.js").write_text("globalThis.traced = true")
    (code / "index.js").write_text("exports.handler = async () => globalThis.traced")
    deployment = deployed(code, cache, handler="index.handler", runtime="nodejs20.x", environment={"NODE_OPTIONS": "--require ./tracer.js"})
    assert not deployment.launch.gate and "gate" not in deployment.launch.argv
    with running(deployment, api, tmp_path):
        assert api.invoke({}).json is True


# The event loop --------------------------------------------------------------------------------------------------------------------------


def test_a_callback_waits_for_the_event_loop_unless_told_not_to(api: FakeRuntimeAPI, start: Start) -> None:
    """AWS: `callbackWaitsForEmptyEventLoop` is true by default: what is pending is finished before the answer goes out."""
    source = """
        let done = false;
        exports.handler = (event, context, callback) => {
            context.callbackWaitsForEmptyEventLoop = event.waits;
            done = false;
            setTimeout(() => { done = true }, 100);
            callback(null, {get done() { return done }});
        }"""
    start({"index.js": source})
    assert api.invoke({"waits": True}).json == {"done": True}
    assert api.invoke({"waits": False}).json == {"done": False}


def test_a_promise_does_not_wait_for_the_event_loop(api: FakeRuntimeAPI, start: Start) -> None:
    start({"index.js": "exports.handler = async () => { setTimeout(() => {}, 60000); return 'at once' }"})
    assert api.invoke({}).json == "at once"


def test_a_handler_that_never_answers_is_answered_with_null(api: FakeRuntimeAPI, start: Start) -> None:
    """As on AWS: when the event loop is empty nothing can answer any more."""
    start({"index.js": "exports.handler = (event, context, callback) => {}"})
    assert api.invoke({}).json is None
    assert api.invoke({}).json is None


def test_an_answer_is_sent_before_the_process_exits(api: FakeRuntimeAPI, start: Start) -> None:
    """AWS's client sends synchronously: a function may exit right after it has answered."""
    process = start({"index.js": "exports.handler = (event, context) => { context.succeed('sent'); process.exit(3) }"})
    assert api.invoke({}).json == "sent"
    assert process.wait() == 3


# Errors ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("exports.handler = async () => { throw new TypeError('wrong') }", "TypeError", "wrong"),
        ("exports.handler = () => { throw new Error('sync') }", "Error", "sync"),
        ("exports.handler = (e, c, callback) => callback(new RangeError('called back'))", "RangeError", "called back"),
        ("exports.handler = (e, c, callback) => callback('text')", "string", "text"),
        ("exports.handler = (e, c) => c.fail()", "string", "handled"),
        ("exports.handler = async () => { throw 'text' }", "string", "text"),
        ("class Own extends Error { name = 'Own.Name' }; exports.handler = async () => { throw new Own('x') }", "Own.Name", "x"),
        ("exports.handler = async () => { const o = {}; o.o = o; return o }", "Error", "Unable to stringify response body"),
        ("exports.handler = async () => BigInt(1)", "Error", "Unable to stringify response body"),
        ("exports.handler = async () => { throw undefined }", "string", "handled"),
    ],
)
def test_errors_of_an_invocation_are_reported(source: str, error_type: str, message: str, api: FakeRuntimeAPI, start: Start) -> None:
    """Type, message and trace as AWS's client reports them; the process goes on."""
    process = start({"index.js": source})
    for _ in range(2):
        request_id = api.queue({})
        sent = api.took()
        assert sent.path.endswith(f"/{request_id}/error")
        assert (sent.json["errorType"], sent.json["errorMessage"]) == (error_type, message)
        assert sent.headers["lambda-runtime-function-error-type"] == error_type
        assert isinstance(sent.json["trace"], list)
        assert f"\t{request_id}\tERROR\tInvoke Error \t{{" in process.log


@pytest.mark.parametrize(
    ("files", "handler", "error_type", "message"),
    [
        ({"index.js": "exports.handler = async ( => 1"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ({"index.mjs": "export const handler = async ( => 1"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ({"index.js": "require('not-there')"}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'not-there'"),
        ({"other.js": ""}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'"),
        ({"index.js": "exports.other = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "exports.handler = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ({"index.js": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.js": ""}, "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name."),
        ({"index.js": "throw new EvalError('at load')"}, "index.handler", "EvalError", "at load"),
        ({"index.mjs": "import 'not-there'"}, "index.handler", "Error", "Cannot find package 'not-there'"),
        ({"index.js": "Promise.reject(new Error('lost')); setTimeout(() => {}, 9e6)"}, "index.handler", "Runtime.", ""),
    ],
)
def test_errors_of_the_init_are_reported(
    files: dict[str, str], handler: str, error_type: str, message: str, api: FakeRuntimeAPI, start: Start
) -> None:
    process = start(files, handler=handler)
    sent = api.took()
    assert sent.kind == "init/error"
    assert sent.json["errorType"].startswith(error_type) and sent.json["errorMessage"].startswith(message)
    assert sent.headers["lambda-runtime-function-error-type"] == sent.json["errorType"]
    assert process.wait() in (128, 129)
    assert "\tundefined\tERROR\tUncaught Exception \t{" in process.log or "Unhandled Promise Rejection" in process.log


@pytest.mark.parametrize(
    ("source", "error_type", "status"),
    [
        ("setTimeout(() => { throw new Error('x') }, 0); await new Promise(() => {})", "Error", 129),
        ("Promise.reject(new Error('x')); await new Promise(() => setTimeout(() => {}, 9e6))", "Runtime.UnhandledPromiseRejection", 128),
    ],
)
def test_what_nobody_catches_ends_the_process(source: str, error_type: str, status: int, api: FakeRuntimeAPI, start: Start) -> None:
    """Reported for the invocation that was running; the statuses are AWS's."""
    process = start({"index.js": f"exports.handler = async () => {{ {source} }}"})
    sent = api.invoke({})
    assert (sent.kind, sent.json["errorType"]) == ("error", error_type)
    assert process.wait() == status


def test_an_error_between_invocations_is_reported_although_the_connection_waits(api: FakeRuntimeAPI, start: Start) -> None:
    """The one connection is busy with /next then."""
    process = start({"index.js": "exports.handler = async () => { setTimeout(() => { throw new Error('late') }, 50); return 1 }"})
    assert api.invoke({}).json == 1
    sent = api.took()
    assert (sent.kind, sent.json["errorMessage"]) == ("error", "late")
    assert process.wait() == 129


def test_node_24_knows_no_callbacks(api: FakeRuntimeAPI, start: Start) -> None:
    """AWS's runtime from Node.js 24 on refuses handlers with three parameters."""
    start({"index.js": "exports.handler = (event, context, callback) => callback()"}, runtime="nodejs24.x")
    assert api.took().json["errorType"] == "Runtime.CallbackHandlerDeprecated"


def test_node_24_takes_what_a_handler_returns(api: FakeRuntimeAPI, start: Start) -> None:
    process = start(
        {"index.js": "exports.handler = (event, context) => event.hang ? new Promise(() => {}) : Object.keys(context)"},
        runtime="nodejs24.x",
    )
    keys = api.invoke({}).json
    assert "awsRequestId" in keys and "succeed" not in keys and "callbackWaitsForEmptyEventLoop" not in keys
    assert api.invoke({"hang": True}).json["errorType"] == "Runtime.NodejsExit"
    assert process.wait() == 13


# Logs ------------------------------------------------------------------------------------------------------------------------------------


def test_log_lines_carry_time_request_and_level(api: FakeRuntimeAPI, start: Start) -> None:
    source = """
        exports.handler = async () => {
            console.log('a', {b: 1}); console.info('%s!', 'i'); console.warn('w'); console.error('e\\nf'); console.debug('d'); console.trace('t');
            console.fatal('f'); process.stdout.write('raw\\n');
        }"""
    process = start({"index.js": source})
    request_id = api.queue({})
    api.took()
    told = [line.split("\t") for line in process.log.removesuffix("\n").split("\n")]
    assert [line[1:] for line in told[:-1]] == [
        [request_id, "INFO", "a { b: 1 }"],
        [request_id, "INFO", "i!"],
        [request_id, "WARN", "w"],
        [request_id, "ERROR", "e\rf"],
        [request_id, "DEBUG", "d"],
        [request_id, "TRACE", "t"],
        [request_id, "FATAL", "f"],
    ]
    assert told[-1] == ["raw"]
    assert len(told[0][0]) == len("2026-11-22T10:00:00.000Z") and told[0][0].endswith("Z")


def test_json_logs_and_levels(api: FakeRuntimeAPI, start: Start) -> None:
    source = """
        exports.handler = async () => {
            console.info('hidden'); console.warn({a: 1}); console.error('two', new TypeError('x')); console.error(new TypeError('y'));
            const o = {}; o.o = o; console.error(o);
        }"""
    process = start({"index.js": source}, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")
    request_id = api.queue({})
    api.took()
    warned, two, one, circular = [json.loads(line) for line in process.log.splitlines()]
    assert warned == {"timestamp": warned["timestamp"], "level": "WARN", "requestId": request_id, "message": {"a": 1}}
    assert (two["errorType"], two["errorMessage"], two["message"][:4]) == ("TypeError", "x", "two ")
    assert one["message"]["errorType"] == "TypeError" and one["message"]["stackTrace"][0] == "TypeError: y"
    assert "Circular" in circular["message"]


def test_framed_logs_go_to_the_platforms_pipe(api: FakeRuntimeAPI, start: Start) -> None:
    """With _LAMBDA_TELEMETRY_LOG_FD a message is framed (type, length, microseconds), and keeps its newlines."""
    process = start({"index.js": "exports.handler = async () => { console.error('one\\ntwo'); return process.env._LAMBDA_TELEMETRY_LOG_FD ?? 'hidden' }"},
                    _LAMBDA_TELEMETRY_LOG_FD="1")  # fmt: skip
    assert api.invoke({}).json == "hidden"
    frame = process.log_file.read_bytes()
    assert frame[:4] == bytes([0xA5, 0x5A, 0x00, 0x03 | 0x14])
    assert int.from_bytes(frame[4:8], "big") == len(frame) - 16
    assert frame.endswith(b"\tERROR\tone\ntwo\n")


# Streaming -------------------------------------------------------------------------------------------------------------------------------


def test_a_streamed_response(api: FakeRuntimeAPI, start: Start) -> None:
    """Chunks go out as they are written; the process serves the next invocation afterwards."""
    source = """
        exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
            stream.setContentType('text/plain');
            stream.write('one '); await new Promise((resolve) => setTimeout(resolve, 20)); stream.write(Buffer.from('two ')); stream.write({three: 3});
            stream.end();
        })"""
    start({"index.js": source})
    for _ in range(2):
        sent = api.invoke({})
        assert (sent.kind, sent.body, sent.trailers) == ("response", b'one two {"three":3}', {})
        assert sent.chunks >= 2
        assert sent.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert sent.headers["content-type"] == "text/plain"


def test_an_http_prelude(api: FakeRuntimeAPI, start: Start) -> None:
    """HttpResponseStream.from: JSON, eight NULs, then the body."""
    source = """
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
            stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201});
            stream.write('body'); stream.end();
        })"""
    start({"index.js": source})
    sent = api.invoke({})
    assert sent.body == b'{"statusCode":201}' + bytes(8) + b"body"
    assert sent.headers["content-type"] == "application/vnd.awslambda.http-integration-response"


def test_a_pipeline_into_the_stream(api: FakeRuntimeAPI, start: Start) -> None:
    source = """
        const { pipeline } = require('stream/promises'); const { Readable } = require('stream');
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
            await pipeline(Readable.from([...Array(200).keys()].map((n) => 'x'.repeat(10000))), stream);
        })"""
    start({"index.js": source})
    assert len(api.invoke({}).body) == 2_000_000


@pytest.mark.parametrize("before", ["", "stream.write('some'); "])
def test_an_error_while_streaming_travels_in_trailers(before: str, api: FakeRuntimeAPI, start: Start) -> None:
    start(
        {
            "index.js": f"exports.handler = awslambda.streamifyResponse(async (event, stream) => {{ {before} throw new TypeError('half way') }})"
        }
    )
    for _ in range(2):
        sent = api.invoke({})
        assert sent.trailers["lambda-runtime-function-error-type"] == "TypeError"
        assert sent.trailer_error["errorMessage"] == "half way"
        assert sent.body == (b"some" if before else b"")


def test_a_streaming_handler_must_be_async(api: FakeRuntimeAPI, start: Start) -> None:
    start({"index.js": "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.write('x') })"})
    assert api.invoke({}).trailer_error["errorMessage"] == "Streaming does not support non-async handlers."


def test_a_node_of_another_version_is_a_note(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "index.js").write_text("exports.handler = async () => 1")
    (missing,) = deployed(tmp_path, cache, runtime="nodejs22.x" if HERE != "nodejs22.x" else "nodejs20.x").launch.notes
    assert "runs under Node.js" in missing
    assert deployed(tmp_path, cache, runtime=HERE).launch.notes == ()


def test_a_missing_sdk_is_a_note(tmp_path: Path, cache: Path) -> None:
    """AWS's runtime brings the SDK; where it is not, the function would fail at its first import."""
    (tmp_path / "index.mjs").write_text("import { S3 } from '@aws-sdk/client-s3'; export const handler = async () => 1")
    (note,) = deployed(tmp_path, cache, runtime=HERE).launch.notes
    assert note.startswith("index.mjs uses @aws-sdk, which AWS's runtime brings")
    (tmp_path / "node_modules" / "@aws-sdk").mkdir(parents=True)
    assert deployed(tmp_path, cache, runtime=HERE).launch.notes == ()
