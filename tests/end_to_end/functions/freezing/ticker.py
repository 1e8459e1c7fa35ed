"""Counts in the background, in a thread, in a child process and in a grandchild that left the process group: while it may run."""

import os
import subprocess
import sys
import threading
import time

TICK_S = 0.01
STARTED = time.time()
MONOTONIC = time.monotonic()
ticks = 0

COUNT = (
    """
import os, sys, time
if sys.argv[1] == "grandchild":
    os.setsid()
    if os.fork():
        sys.exit(0)
while True:
    with open("/tmp/" + sys.argv[1], "ab", 0) as file:
        file.write(b".")
    time.sleep(%r)
"""
    % TICK_S
)


def count():
    global ticks
    while True:
        time.sleep(TICK_S)
        ticks += 1


threading.Thread(target=count, daemon=True).start()
for name in ("child", "grandchild"):
    subprocess.Popen([sys.executable, "-c", COUNT, name])


def size(name):
    try:
        return os.path.getsize("/tmp/" + name)
    except FileNotFoundError:
        return 0


def handler(event, context):
    if "run" in event:
        time.sleep(event["run"])
    return {
        "clock": time.time() - STARTED,
        "monotonic": time.monotonic() - MONOTONIC,
        "thread": ticks * TICK_S,
        "child": size("child") * TICK_S,
        "grandchild": size("grandchild") * TICK_S,
    }
