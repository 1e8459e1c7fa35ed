"""Time warp: hours of idleness in seconds.

While an environment is frozen its clocks are moved on by a gap; at the thaw whatever was due in the gap is due, as after a real wait.
docs/time-warp.md has the whole, with what is not moved. The parts:

    shim.c       preloaded into the environment's processes: adds an offset to clocks, takes it off deadlines, goes on with interrupted waits
    build        compiles it, once for each machine and user
    clockfile    the offset, in a file that the processes see and cannot write
    programs     which processes' clocks can be moved: is the shim loaded, is it a Go program?
    vdso         Go programs, which ask no libc for the time
    trace        ptrace, as much of it as that takes
    threads      ends the waits that are under way, so that they are reckoned anew
    timers       the kernel's timers that processes hold as files
    move         all of it for one environment; done by a short-lived child of the warden

On x86-64 only: `trace`, `threads` and `vdso` know its registers, its system calls and its code.
"""
