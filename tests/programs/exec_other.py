"""Works for a while, then becomes another program: `exec_other.py SECONDS PROGRAM [ARG...]`.

The seconds are CPU seconds, counted from the moment when it says that it is ready.
"""

import os
import sys

import target


def before_exec(until, clock=target.thread_cpu):
    while clock() < until:
        for _ in range(1000):
            pass


target.ready()
before_exec(target.thread_cpu() + float(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
