"""Children that work for a short while and end.

    short_children.py waiting SECONDS COUNT   forks the children, which wait; they begin to work when the parent
                                              reads a line, for so many CPU seconds each, and end; the
                                              parent lives on
    short_children.py forked SECONDS COUNT    forks them, two at a time, and ends after the last one
    short_children.py started SECONDS COUNT   the same with new interpreters in place of forks

After the last child the parent says what CPU time they took, as the kernel counted it.
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


def children_said():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    target.say("result", {"cpu_s": usage.ru_utime + usage.ru_stime})


def fork_to(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def waiting(seconds, count):
    start_read, start_write = os.pipe()

    def wait_and_work():
        os.close(start_write)
        os.read(start_read, 1)
        child_work(seconds)

    children = [fork_to(wait_and_work) for _ in range(count)]
    os.close(start_read)
    target.ready(children=children)
    sys.stdin.readline()
    os.close(start_write)
    for child in children:
        os.waitpid(child, 0)
    children_said()
    sys.stdin.readline()


def forked(seconds, count):
    for _ in range(count // 2):
        for child in [fork_to(lambda: child_work(seconds)) for _ in range(2)]:
            os.waitpid(child, 0)


def started(seconds, count):
    for _ in range(count // 2):
        command = [sys.executable, os.path.abspath(__file__), "work", str(seconds), "1"]
        for child in [subprocess.Popen(command) for _ in range(2)]:
            child.wait()


HOW, SECONDS, COUNT = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
if HOW == "work":
    child_work(SECONDS)
elif HOW == "waiting":
    waiting(SECONDS, COUNT)
else:
    target.ready()
    {"forked": forked, "started": started}[HOW](SECONDS, COUNT)
    children_said()
