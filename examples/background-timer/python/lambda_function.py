"""The twin of `../index.mjs`: seconds by the clock, and seconds counted by a thread in the background, a tick a second."""

import threading
import time

started_at = time.time()
counted = 0


def tick():
    """Count the seconds as a timer does that is set anew at each tick."""
    global counted  # noqa: PLW0603 - one counter for the life of the execution environment is what is shown here
    while True:
        time.sleep(1)
        counted += 1


threading.Thread(target=tick, name="background timer", daemon=True).start()


def lambda_handler(event, context):
    """Answer with both counts, in whole seconds since init."""
    return {"calculated": int(time.time() - started_at), "counted": counted}
