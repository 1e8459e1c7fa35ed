"""A client of a server: with requests, as most functions are, and with plain sockets."""

import socket
import time

import requests

SESSION = requests.Session()
SOCKETS = []


def post(event):
    try:
        return SESSION.post(event["url"], data=b"x", timeout=event.get("timeout", 5)).text
    except requests.RequestException as error:
        return repr(error)


def connect(event):
    SOCKETS[:] = [socket.create_connection((event["host"], event["port"])) for _ in range(event["count"])]
    return len(SOCKETS)


def write(event):
    time.sleep(event["wait"])
    outcomes = []
    for sock in SOCKETS:
        sock.settimeout(event.get("timeout", 5))
        try:
            sock.sendall(b"question")
            outcomes.append(sock.recv(100).decode())
        except OSError as error:
            outcomes.append(type(error).__name__)
    return outcomes


def handler(event, context):
    return {"post": post, "connect": connect, "write": write}[event["do"]](event)
