"""Tries what a function must not be able to do, and says how it went."""

import ctypes
import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)


def attempt(action, *arguments):
    """What happened: `done`, or the name of the error."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"


def system(number, *arguments):
    if getattr(libc, number)(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write(path):
    with open(path, "w") as file:
        file.write("written by a function")


def files(event):
    places = [
        "/var/task",
        "/var/runtime",
        "/opt",
        "/",
        "/etc",
        "/usr",
        "/usr/bin",
        "/var",
        "/proc/sys/kernel/hostname",
        "/dev",
        "/sys",
        "/root",
        "/home",
    ]
    places += event.get("paths", [])
    tried = {place: attempt(write, place if os.path.isfile(place) else place + "/written") for place in places}
    tried["chmod"] = attempt(lambda: os.chmod("/var/task/probe.py", 0o777))
    tried["unlink"] = attempt(lambda: os.unlink("/var/task/probe.py"))
    tried["append"] = attempt(lambda: open("/var/task/probe.py", "a"))
    tried["remount"] = attempt(lambda: system("mount", b"none", b"/var/task", b"", 32, None))
    tried["tmpfs"] = attempt(lambda: system("mount", b"none", b"/tmp", b"tmpfs", 0, None))
    tried["unmount"] = attempt(lambda: system("umount2", b"/var/task", 2))
    tried["device"] = attempt(lambda: os.mknod("/tmp/device", 0o600 | 0o060000, os.makedev(8, 0)))
    tried["chroot"] = attempt(lambda: os.chroot("/tmp"))
    tried["hostname"] = attempt(lambda: socket.sethostname("mine"))
    tried["own"] = attempt(lambda: write("/tmp/mine"))
    tried["tmp is executable"] = attempt(lambda: (write("/tmp/x"), os.chmod("/tmp/x", 0o755)))
    return tried


def seen(event):
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    everything = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open("/proc/" + pid + "/environ") as file:
                everything.append(file.read())
        except OSError as error:
            everything.append(errno.errorcode[error.errno])
    return {
        "pids": sorted(int(pid) for pid in os.listdir("/proc") if pid.isdecimal()),
        "environment": dict(os.environ),
        "environments": everything,
        "capabilities": {name: status[name] for name in status if name.startswith("Cap")},
        "no_new_privileges": status["NoNewPrivs"],
        "groups": status["Groups"].split(),
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()],
        "descriptors": {
            fd: os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + fd)
        },
        "exists": {path: os.path.exists(path) for path in event.get("paths", [])},
        "root": sorted(os.listdir("/")),
        "users": open("/etc/passwd").read(),
        "hostname": socket.gethostname(),
        "setuid": subprocess.run(["sh", "-c", "command -v su && su -c true"], capture_output=True, text=True).returncode,
    }


def kill(event):
    """Signals to processes of the host, by their numbers there, and to everything that may be signalled."""
    tried = {str(pid): attempt(os.kill, pid, signal.SIGKILL) for pid in event["pids"]}
    tried["1"] = attempt(lambda: os.kill(1, signal.SIGKILL))
    tried["ptrace"] = attempt(lambda: system("ptrace", 16, 1, 0, 0))
    time.sleep(0.05)
    return tried


def kill_all(event):
    try:
        os.kill(-1, signal.SIGKILL)  # everything but itself
    except ProcessLookupError:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def connect(event):
    """Which of these addresses can be connected to."""
    found = {}
    for host, port in event["to"]:
        try:
            with socket.create_connection((host, port), timeout=event.get("timeout", 1)) as connection:
                connection.settimeout(1)
                found[f"{host}:{port}"] = connection.recv(100).decode()
        except OSError as error:
            found[f"{host}:{port}"] = type(error).__name__
    return found


def listen(event):
    """A server on every address of this environment; what those addresses are."""
    server = socket.create_server(("0.0.0.0", event["port"]))

    def serve():
        while True:
            connection, _ = server.accept()
            connection.sendall(b"of another environment")
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return probe.getsockname()[0]


def call(event):
    """An invocation of another function, through the endpoint on the developer's machine."""
    connection = http.client.HTTPConnection("host.frostline.internal", event["port"], timeout=5)
    connection.request("POST", "/2015-03-31/functions/neighbour/invocations", '{"do": "hello"}')
    return connection.getresponse().read().decode()


def hello(event):
    return "hello from the neighbour"


def fork(event):
    """As many processes as there may be."""
    children = []
    try:
        while len(children) < 5000:
            pid = os.fork()
            if not pid:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
        error = "none"
    except OSError as failed:
        error = errno.errorcode[failed.errno]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    return {"children": len(children), "error": error}


def orphans(event):
    """Leaves processes behind that close everything and hide in sessions of their own."""
    script = "import os,time\nos.setsid()\nif os.fork(): os._exit(0)\nos.closerange(0,100)\ntime.sleep(1000)\n"
    for _ in range(3):
        subprocess.run([sys.executable, "-c", script], check=True)
    return sum(pid.isdecimal() for pid in os.listdir("/proc"))


def fill(event):
    written = 0
    try:
        with open("/tmp/big", "wb", 0) as file:
            while written < 2000:
                file.write(b"x" * (1 << 20))
                written += 1
    except OSError as error:
        return {"megabytes": written, "error": errno.errorcode[error.errno]}
    return {"megabytes": written}


def spin(event):
    end = time.time() + event["seconds"]
    while time.time() < end:
        pass


def handler(event, context):
    return globals()[event["do"]](event)
