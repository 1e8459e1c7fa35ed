"""The smallest useful function: it greets, and tells how often this execution environment has been used."""

import os

invocations = 0


def lambda_handler(event, context):
    """Greet `event["name"]`, or the world."""
    global invocations  # noqa: PLW0603 - what outlives an invocation is what is shown here
    invocations += 1
    print(f"invocation {invocations} of {os.environ['AWS_LAMBDA_LOG_STREAM_NAME']}")
    return {"message": f"Hello, {event.get('name', 'world')}!", "invocations": invocations}
