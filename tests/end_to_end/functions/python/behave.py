"""One handler that behaves as its event says: well, and in all the ways that were recorded on AWS."""

import base64
import ctypes
import getpass
import logging
import os
import platform
import resource
import signal
import socket
import stat
import subprocess
import sys
import time

STARTED = time.time()
COUNTER = {"calls": 0}
AT_INIT = dict(os.environ)


def echo(event, context):
    return event


def count(event, context):
    COUNTER["calls"] += 1
    return COUNTER["calls"]


def describe_context(event, context):
    client = context.client_context
    return {
        "function_name": context.function_name,
        "function_version": context.function_version,
        "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "aws_request_id": context.aws_request_id,
        "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        "client_context": client and {"custom": client.custom, "env": client.env, "app_title": client.client and client.client.app_title},
    }


def introspect(event, context):
    paths = {}
    for path in ("/var/task", "/opt", "/tmp"):
        found = os.stat(path)
        paths[path] = [stat.filemode(found.st_mode), found.st_uid]
    return {
        "user": getpass.getuser(),
        "whoami": subprocess.getoutput("whoami"),
        "uid": os.getuid(),
        "machine": platform.machine(),
        "cwd": os.getcwd(),
        "paths": paths,
        "argv": sys.argv,
        "zone": time.tzname[0],
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
        "modules": sorted(name for name in sys.modules if "." not in name),
    }


def held(event, context):
    with socket.create_connection(("host.frostline.internal", event["port"])) as until:
        until.recv(1)


def environment(event, context):
    return {"now": dict(os.environ), "init": AT_INIT}


def write(event, context):
    with open("/tmp/" + event["name"], "w") as file:
        file.write(event["text"])


def read(event, context):
    try:
        with open("/tmp/" + event["name"]) as file:
            return {"text": file.read(), "calls": COUNTER["calls"], "pid": os.getpid()}
    except FileNotFoundError:
        return {"text": None, "calls": COUNTER["calls"], "pid": os.getpid()}


def sleep(event, context):
    time.sleep(event["seconds"])
    return event


class CustomException(Exception):
    pass


def fail(event, context):
    raise CustomException("some error occurred")


def leave(event, context):
    sys.exit(event.get("status", 0))


def leave_at_once(event, context):
    print("last words", end="", flush=True)  # no line's end
    os._exit(event["status"])


def crash(event, context):
    ctypes.string_at(0)


def killed(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def eat(event, context):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * (8 << 20)))


def large(event, context):
    return "a" * (event["bytes"] - 2)


def unserializable(event, context):
    return {"set": {1, 2}}


def chat(event, context):
    print("multi\nline\nstring")
    print("another\rline")
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().info("a message of the logging module")
    sys.stderr.write("on standard error\n")


def flood(event, context):
    for number in range(event["lines"]):
        print(f"{number:06d} " + "x" * 92)


def bytes_of(event, context):
    sys.stdout.flush()
    os.write(1, base64.b64decode(event["data"]))


def handler(event, context):
    action = globals()[event["do"]] if isinstance(event, dict) and "do" in event else echo
    return action(event, context)
