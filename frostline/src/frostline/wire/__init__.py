"""The wire: Lambda's APIs between bytes and the core's vocabulary. Pure: no sockets, no clock.

Inside an environment, where runtimes and extensions call:

- `environment_api`: one accepted connection; `receive(bytes)` gives events, `answer(exchange, reply)` gives bytes. Begin here.
- `runtime_api`, `extensions_api`, `telemetry_api`: one API each, a request at a time. `refusals`: the errors they share.
- `telemetry`: what subscribers are sent, and in which batches.
- `lines`, `log_frames`: what processes print, as log lines.

Outside, where SDKs call:

- `invoke_api`: requests into calls. `invoke_answers`: what came of them, into responses.
- `function_names`, `function_configuration`, `payload_json`, `aws_errors`: AWS's words for names, settings and mistakes.
- `eventstream`: the framing of streamed answers.

Under both: `http` (bytes into requests) and `responses` (responses into bytes, in the order of their requests).
"""
