"""The warden: the small process that makes environments, and outlives Frostline long enough to remove them.

It is executed as `python -I -S`, so everything in this package (and `frostline.sandbox.cgroups`) uses the standard library only, and of
that as little as it can: each environment's first process is a copy of the warden, and what the warden imports, each of them carries.
That is why there is no `typing` and no `dataclasses` here at run time.

- `__main__`: the loop: requests from Frostline, deaths of children, the end.
- `cage`: a child with namespaces of its own, and everything that only its parent can do for it.
- `init`: what that child becomes: process 1 of an environment, which starts, signals and reaps the function's processes.
- `keeper`: the same for a machine without namespaces: the head of a tree of ordinary processes.
- `mounts`: what an environment's root directory is made of.
- `sources`: what of the host it is shown.
- `proc`: the process table.
- `spawn`: from `fork` to `execve`.
- `protocol`: messages and descriptors over a Unix socket.
- `syscalls`: the system calls that Python does not have.
"""
