"""Works through phases, as another user or under another name: `phases.py PHASE...`.

A phase is `SECONDS`, `user=ID:SECONDS` or `comm=NAME:SECONDS`: from there on the process runs as that user, or
has that name for the kernel. Work begins when a line is read, and each kind has a function of its own. At the
end the program says how much CPU time each took, and sleeps.
"""

import os
import sys
import time

import target


def as_it_was(until, clock=time.time):
    while clock() < until:
        for _ in range(1000):
            pass


def as_user(until, clock=time.time):
    while clock() < until:
        for _ in range(1000):
            pass


def under_name(until, clock=time.time):
    while clock() < until:
        for _ in range(1000):
            pass


def main():
    spent = {}
    comm = open("/proc/self/comm", "w")
    target.ready()
    sys.stdin.readline()
    for phase in sys.argv[1:]:
        change, _, seconds = phase.rpartition(":")
        kind, _, value = change.partition("=")
        if kind == "user":
            os.setuid(int(value))
            work = as_user
        elif kind == "comm":
            comm.write(value)
            comm.flush()
            work = under_name
        else:
            work = as_it_was
        before = target.thread_cpu()
        work(time.time() + float(seconds))
        spent[work.__name__] = spent.get(work.__name__, 0) + target.thread_cpu() - before
    target.say("done", spent)
    time.sleep(target.LONGEST_LIFE_S)


main()
