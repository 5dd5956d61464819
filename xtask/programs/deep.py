"""One busy thread, 30 frames deep. Counts its rounds in a file that the benchmark maps: argument 1."""

import mmap
import struct
import sys


def work(counter):
    rounds = 0
    while True:
        total = 0
        for number in range(2000):
            total += number * number
        rounds += 1
        struct.pack_into("<Q", counter, 0, rounds)


def descend(frames, counter):
    if frames == 0:
        work(counter)
    else:
        descend(frames - 1, counter)


with open(sys.argv[1], "r+b") as file:
    # The module, 28 calls of descend, and work: 30 frames.
    descend(27, mmap.mmap(file.fileno(), 8))
