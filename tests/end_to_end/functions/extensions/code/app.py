"""Answers with what the extensions noted; on demand it waits until they noted something."""

import json
import socket
import time


def notes(name):
    try:
        with open("/tmp/" + name) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def handler(event, context):
    print("the function speaks")
    end = time.time() + 5
    wanted = event.get("until")
    names = ("http-observer", "tcp-observer")
    while wanted and time.time() < end and not all(wanted in json.dumps(notes(name)) for name in names):
        time.sleep(0.005)
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "held" in event:
        with socket.create_connection(("host.frostline.internal", event["held"])) as until:
            until.recv(1)
    return {"request": context.aws_request_id, **{name: notes(name) for name in names}}
