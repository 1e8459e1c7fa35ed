"""When a connection may be used again. Pure: no I/O and no clock; the moment is an argument.

Read in this order, or only the last one:

    moments.py         what is read from the clocks, and what two readings say about the time between them
    freezes.py         whether the process stood still in between
    paths.py           how long the way to one peer lets a connection idle, and how long a question to it may take
    lives.py           what is known about one connection
    limits.py, configurations.py, presets.py, environments.py
                       the limits, the reason for each value, and which environment has which
    judging.py         the verdict: keep, probe or discard, and why
"""
