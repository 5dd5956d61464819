"""One busy thread, so many frames deep: `busy.py [DEPTH]`."""

import sys

import target


def leaf():
    value = 0
    while True:
        for step in range(1000):
            value += step


def level(remaining):
    if remaining == 0:
        return leaf()
    return level(remaining - 1)


depth = int(sys.argv[1]) if len(sys.argv) > 1 else 10
sys.setrecursionlimit(depth + 1000)
target.ready(depth=depth)
level(depth)
