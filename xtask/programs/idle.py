"""A parent with mostly idle children: argument 1 says how many. Each wakes ten times a second to do little.

With a second argument there is one child more, which calls a function named after the time, `at_` and
nanoseconds since boot, for a millisecond each: a profile tells from it when its samples were taken."""

import os
import sys
import time


PARENT = os.getpid()


def little_work():
    return sum(range(1000))


def idle():
    # The kernel gives orphans another parent: they end.
    while os.getppid() == PARENT:
        time.sleep(0.1)
        little_work()


def until(end):
    while time.monotonic_ns() < end:
        pass


def clock():
    millisecond = 1_000_000
    while os.getppid() == PARENT:
        now = time.monotonic_ns()
        code = until.__code__.replace(co_name=f"at_{now}", co_qualname=f"at_{now}")
        type(until)(code, globals())(now + millisecond)


def start(function):
    if os.fork() == 0:
        function()
        os._exit(0)


for _ in range(int(sys.argv[1])):
    start(idle)
if len(sys.argv) > 2:
    start(clock)
while True:
    time.sleep(60)
