"""An init long enough that an invocation does not wait for it when another environment is free sooner; it goes on counting afterwards."""

import os
import socket
import threading
import time

time.sleep(1)
TICK_S = 0.01
STARTED = time.time()
ticks = 0


def count():
    global ticks
    while True:
        time.sleep(TICK_S)
        ticks += 1


threading.Thread(target=count, daemon=True).start()


def handler(event, context):
    time.sleep(event.get("run", 0))
    if "held" in event:
        with socket.create_connection(("host.frostline.internal", event["held"])) as until:
            until.recv(1)
    return {"ticks": ticks, "tick": TICK_S, "clock": time.time() - STARTED, "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]}
