import os

served = 0


def handler(event, context):
    global served
    served += 1
    return {**event, "request": context.aws_request_id, "stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "served": served}
