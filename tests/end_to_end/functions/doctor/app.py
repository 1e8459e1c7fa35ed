"""Places orders with what Python has itself: over one connection that it keeps, or over a new one each time."""

import http.client
import urllib.request

CONNECTION = http.client.HTTPConnection("orders.local", 8080, timeout=2)
BODY = b'{"item": "ice"}'


def keeps(event, context):
    CONNECTION.request("POST", "/orders", BODY)
    return CONNECTION.getresponse().read().decode()


def opens(event, context):
    return urllib.request.urlopen("http://orders.local:8080/orders", BODY, timeout=2).read().decode()


def alone(event, context):
    return "no connection"
