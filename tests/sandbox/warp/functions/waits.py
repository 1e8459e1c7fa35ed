"""Each way to wait that Python has, for 1, 2 and 8 units of time. Prints `fired NAME UNITS AFTER`, and `ready` when all of them wait."""

import asyncio
import contextlib
import queue
import select
import selectors
import sys
import threading
import time

unit = float(sys.argv[1])
start, wall = time.monotonic(), time.time()
tell = threading.Lock()
started = []


def fired(name, units):
    after, by_wall = (time.monotonic() - start) / unit, (time.time() - wall) / unit
    with tell:
        print(f"fired {name} {units} {after:.4f} {by_wall:.4f}", flush=True)


def thread(name, units, wait):
    def work():
        wait(units * unit)
        fired(name, units)

    started.append(threading.Thread(target=work, daemon=True))


def get(seconds):
    with contextlib.suppress(queue.Empty):
        queue.Queue().get(timeout=seconds)


def condition(seconds):
    waiting = threading.Condition()
    with waiting:
        waiting.wait(seconds)


def locked(seconds):
    lock = threading.Lock()
    lock.acquire()
    assert not lock.acquire(timeout=seconds)


for units in (1, 2, 8):
    thread("time.sleep", units, time.sleep)
    thread("Event.wait", units, threading.Event().wait)
    thread("Condition.wait", units, condition)
    thread("Lock.acquire", units, locked)
    thread("Thread.join", units, threading.main_thread().join)
    thread("queue.get", units, get)
    thread("select", units, lambda seconds: select.select([], [], [], seconds))
    thread("poll", units, lambda seconds: select.poll().poll(seconds * 1000))
    thread("epoll", units, lambda seconds: select.epoll().poll(seconds))
    thread("selector", units, lambda seconds: selectors.SelectSelector().select(seconds))
    started.append(threading.Timer(units * unit, fired, ("threading.Timer", units)))


async def one(name, units, awaitable):
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        await awaitable
    fired(name, units)


async def main():
    loop = asyncio.get_running_loop()
    tasks = []
    for units in (8, 2, 1):
        loop.call_later(units * unit, fired, "loop", units)
        tasks.append(loop.create_task(one("asyncio.sleep", units, asyncio.sleep(units * unit))))
        tasks.append(loop.create_task(one("asyncio.wait_for", units, asyncio.wait_for(asyncio.Event().wait(), units * unit))))
    for waiting in started:
        waiting.daemon = True
        waiting.start()
    await asyncio.sleep(0.1)  # until all of them wait
    print("ready", flush=True)
    await asyncio.wait(tasks)


asyncio.run(main())
