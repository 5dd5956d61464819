"""A thread that spins at the end of a deep recursion: `recursion.py [FRAMES]`."""

import sys
import threading

import target


def bottom():
    value = 0
    target.ready(frames=FRAMES)
    while True:
        for step in range(1000):
            value += step


def descend(remaining):
    if remaining == 0:
        bottom()
    else:
        descend(remaining - 1)


def top():
    descend(FRAMES - 1)


FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 2500
sys.setrecursionlimit(FRAMES + 1000)
# Up to 3.10 each Python frame has a frame of C, of up to half a KiB in a release build.
threading.stack_size(64 * 1024 * 1024)
thread = threading.Thread(target=top)
thread.start()
thread.join()
