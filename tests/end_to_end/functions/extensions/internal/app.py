"""An internal extension: a thread of the runtime's process that registers while the function is loaded."""

import http.client
import json
import os
import signal
import sys
import threading
import time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
seen = []


def call(method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(API)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response, response.read().decode()


def register(events):
    return call("POST", "/2020-01-01/extension/register", json.dumps({"events": events}), {"Lambda-Extension-Name": "inner"})


def poll(identifier):
    while True:
        _, text = call("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": identifier})
        seen.append(json.loads(text))
        time.sleep(0.05)


def on_term(*_):
    print("SIGTERM", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, on_term)
refused = register(["INVOKE", "SHUTDOWN"])
registered = register(["INVOKE"])
threading.Thread(target=poll, args=(registered[0].headers["Lambda-Extension-Identifier"],), daemon=True).start()


def handler(event, context):
    late = register(["INVOKE"])
    other, text = call("POST", "/2020-01-01/extension/register", '{"events": []}', {"Lambda-Extension-Name": "too-late"})
    while not seen or seen[-1]["requestId"] != context.aws_request_id:
        time.sleep(0.001)
    return {
        "refused": [refused[0].status, json.loads(refused[1])],
        "registered": json.loads(registered[1]),
        "late": [other.status, json.loads(text)],
        "again": late[0].status,
        "seen": len(seen),
    }
