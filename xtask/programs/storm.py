"""A storm of children: storm.py SECONDS RATE forked|executed. Starts RATE children a second, each with 15 ms of work,
and prints how many there were and how much CPU time the kernel accounts to them, in seconds.

It waits for a line on standard input before it begins."""

import os
import resource
import sys
import time

WORK_NS = 15_000_000


def work():
    end = time.thread_time_ns() + WORK_NS
    while time.thread_time_ns() < end:
        sum(range(100))


def fork():
    if os.fork() == 0:
        work()
        os._exit(0)


def execute():
    words = [sys.executable, "-I", "-S", __file__]
    os.posix_spawn(sys.executable, words, os.environ)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def storm(seconds, rate, start):
    begin = time.monotonic()
    children = 0
    while time.monotonic() - begin < seconds:
        start()
        children += 1
        reap()
        time.sleep(max(0, children / rate - (time.monotonic() - begin)))
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return children


if len(sys.argv) == 1:
    work()
    os._exit(0)
sys.stdin.readline()
children = storm(float(sys.argv[1]), float(sys.argv[2]), {"forked": fork, "executed": execute}[sys.argv[3]])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(children, used.ru_utime + used.ru_stime, flush=True)
