"""One busy thread: deep.py FRAMES [distinct]. So many frames deep, this module's among them, it counts its rounds, and
writes how many there were to standard output, over and over in the same place, as eight bytes. Its frames are of one
function that calls itself, or each of a function of its own."""

import os
import sys


def work():
    rounds = 0
    while True:
        total = 0
        for number in range(2000):
            total += number * number
        rounds += 1
        os.pwrite(1, rounds.to_bytes(8, "little"), 0)


def descend(frames):
    if frames == 0:
        work()
    else:
        descend(frames - 1)


def descend_through(functions):
    """Each is compiled anew, so that each has a code object of its own."""
    callee = work
    for _ in range(functions):
        names = {"callee": callee}
        exec("def caller():\n    callee()\n", names)
        callee = names["caller"]
    callee()


frames = int(sys.argv[1])
is_distinct = sys.argv[2:] == ["distinct"]
if frames > 2 and is_distinct:
    # The module, descend_through, the functions, and work.
    descend_through(frames - 3)
elif frames > 2:
    # The module, so many calls of descend, and work.
    descend(frames - 3)
elif frames == 2:
    work()
else:
    # As work does it: one frame leaves no room for a call.
    rounds = 0
    while True:
        total = 0
        for number in range(2000):
            total += number * number
        rounds += 1
        os.pwrite(1, rounds.to_bytes(8, "little"), 0)
