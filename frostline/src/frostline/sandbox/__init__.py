"""The room that touches the kernel: processes, namespaces, mounts, control groups, and the lab's network.

- `port`: what the control plane may ask, and what it is told. Start reading here.
- `choose`: which sandbox this machine allows.
- `namespaces`, `plain`: the two kinds, on what they share: `caged`, and for each environment `environment`.
- `freezer`, `memory`, `output`: stopping an environment's processes, holding them to a limit, reading what they write.
- `cgroups`, `rundir`: places of our own in the machine, and giving them back.
- `guard`, `channel`: the warden seen from here, and the line to it.
- `warden`: the process that makes environments, and removes them even if Frostline is killed.
- `router`: the environments' way out.
- `warp`: moving the clocks of frozen environments on.

::

    Frostline (asyncio) ---- line ----> warden ---- clone ----> process 1 of each environment ---- fork, exec ----> runtime, extensions
          |                                                          |
          +------------------------- line ---------------------------+
          +---- cgroup.freeze, cgroup.events (no process in between)
"""
