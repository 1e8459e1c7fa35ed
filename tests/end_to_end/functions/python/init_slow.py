"""An init that takes as long as a file in /tmp says: the first time, when there is none, longer than AWS allows."""

import os
import time

print("static code runs")
if not os.path.exists("/tmp/tried"):
    with open("/tmp/tried", "w"):
        pass
    time.sleep(60)


def handler(event, context):
    return "initialized"
