"""A program that tells the time by the names of its functions: `at_` and nanoseconds since boot, each for a
millisecond. A profile tells from it when its samples were taken."""

import os
import time


def until(end):
    while time.monotonic_ns() < end:
        pass


def clock(parent):
    """Runs until another process than `parent` is its parent."""
    millisecond = 1_000_000
    while os.getppid() == parent:
        now = time.monotonic_ns()
        code = until.__code__.replace(co_name=f"at_{now}", co_qualname=f"at_{now}")
        type(until)(code, globals())(now + millisecond)
