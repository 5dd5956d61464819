"""Children that work for a short while and end.

    short_children.py waiting SECONDS   forks four children, which work so many CPU seconds each from the
                                        moment that the parent said `ready` on and end
    short_children.py forked SECONDS    goes on forking: two children at a time, so many CPU seconds each
    short_children.py started SECONDS   the same with new interpreters in place of forks

At the end the parent says how many children ended and what CPU time they took, as the kernel counted it.
"""

import os
import resource
import subprocess
import sys

import target


def child_work(seconds, clock=target.thread_cpu):
    until = clock() + seconds
    while clock() < until:
        for _ in range(1000):
            pass


def children_so_far():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"children": ENDED[0], "cpu_s": usage.ru_utime + usage.ru_stime}


def waiting(seconds):
    start_read, start_write = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os.close(start_write)
            os.read(start_read, 1)
            child_work(seconds)
            os._exit(0)
        children.append(child)
    os.close(start_read)
    target.ready(children=children)
    # The test says when: the profiler must be watching by then.
    sys.stdin.readline()
    os.close(start_write)
    for child in children:
        os.waitpid(child, 0)
        ENDED[0] += 1
    target.say("result", children_so_far())
    sys.stdin.readline()


def forked(seconds):
    while True:
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                child_work(seconds)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
            ENDED[0] += 1


def started(seconds):
    while True:
        command = [sys.executable, os.path.abspath(__file__), "work", str(seconds)]
        children = [subprocess.Popen(command) for _ in range(2)]
        for child in children:
            child.wait()
            ENDED[0] += 1


ENDED = [0]
HOW, SECONDS = sys.argv[1], float(sys.argv[2])
if HOW == "work":
    child_work(SECONDS)
elif HOW == "waiting":
    waiting(SECONDS)
else:
    target.at_end(children_so_far)
    target.ready()
    {"forked": forked, "started": started}[HOW](SECONDS)
