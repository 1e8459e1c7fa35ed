"""An init long enough that an invocation does not wait for it when another environment is free sooner; it goes on counting afterwards."""

import os
import threading
import time

time.sleep(0.5)
ticks = 0


def count():
    global ticks
    while True:
        time.sleep(0.01)
        ticks += 1


threading.Thread(target=count, daemon=True).start()


def handler(event, context):
    time.sleep(event.get("run", 0))
    return {"ticks": ticks, "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]}
