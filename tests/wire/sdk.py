"""boto3 as the peer: its requests go through our parser, our bytes through its parser, and no socket is involved."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.config import Config
from urllib3 import HTTPResponse

from frostline.core.effects import Outcome, Succeeded
from frostline.core.function import Function
from frostline.core.payload import Payload
from frostline.wire import invoke_answers, invoke_api
from frostline.wire.http import Connection, ContinueExpected, Request, TooLarge

from .dialogue import response

_SESSION = botocore.session.Session()
"""One for all: it reads AWS's service model once."""

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


class Service:
    """The Lambda API over some functions. Invocations end in `outcome`; the last call is kept."""

    def __init__(self, *functions: Function) -> None:
        self.functions: Mapping[str, Function] = {function.name: function for function in functions}
        self.outcome: Outcome = Succeeded(payload=Payload(b"null"))
        self.stream: bytes | None = None
        """What a streamed invocation is answered with, instead of `outcome`."""
        self.call: invoke_api.Call | None = None
        self.client: Any = _SESSION.create_client(
            "lambda",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )
        self.client.meta.events.register("before-send.lambda", self._send)

    def answer(self, data: bytes) -> bytes:
        """Response bytes to request bytes."""
        received = [item for item in Connection(invoke_api.plan).receive(data) if not isinstance(item, ContinueExpected)]
        (item,) = received
        if isinstance(item, TooLarge):
            return invoke_api.too_large(item.request, item.size, REQUEST_ID)
        assert isinstance(item, Request)
        call = invoke_api.parse(item, self.functions, REQUEST_ID)
        if isinstance(call, bytes):
            self.call = None
            return call
        self.call = call
        match call:
            case invoke_api.InvokeCall(mode="stream"):
                return self.stream if self.stream is not None else invoke_answers.stream_outcome(self.outcome, REQUEST_ID)
            case invoke_api.InvokeCall():
                return invoke_answers.outcome_response(self.outcome, REQUEST_ID)
            case invoke_api.ListFunctionsCall():
                return invoke_answers.list_functions_response(call, self.functions, REQUEST_ID)
            case invoke_api.GetFunctionCall():
                return invoke_answers.function_response(call, REQUEST_ID)
            case invoke_api.GetConfigurationCall() | invoke_api.UpdateConfigurationCall():
                return invoke_answers.configuration_response(call, REQUEST_ID)

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        body = body.encode() if isinstance(body, str) else bytes(body)
        headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
        headers["Content-Length"] = str(len(body))
        lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        answer = response(self.answer("\r\n".join(lines).encode() + b"\r\n\r\n" + body))
        raw = HTTPResponse(body=io.BytesIO(answer.body), headers=answer.headers, status=answer.status, preload_content=False)
        return AWSResponse(request.url, answer.status, HeadersDict(answer.headers), raw)
