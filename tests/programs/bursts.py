"""Works in bursts of half a millisecond, with pauses of as much."""

import time

import target


def burst():
    end = time.perf_counter() + 0.0005
    while time.perf_counter() < end:
        pass


target.ready()
while True:
    burst()
    time.sleep(0.0005)
