"""70 % of the CPU time in one function, 30 % in another, by the thread's own CPU clock.

Slices have pseudo-random lengths of some milliseconds, so that they do not go in step with a sampler; what
one slice takes too long is taken off the next of the same function. At the end it says what it measured.
"""

import random

import target


def seventy(until, clock=target.thread_cpu):
    while clock() < until:
        for _ in range(30):
            pass


def thirty(until, clock=target.thread_cpu):
    while clock() < until:
        for _ in range(30):
            pass


SPENT = {"seventy": 0.0, "thirty": 0.0}


def main():
    lengths = random.Random(70)
    clock = target.thread_cpu
    wanted = 0.0
    while True:
        wanted += lengths.uniform(0.006, 0.017)
        for name, work, share in (("seventy", seventy, 0.7), ("thirty", thirty, 0.3)):
            before = clock()
            work(before + share * wanted - SPENT[name])
            SPENT[name] += clock() - before


target.at_end(lambda: SPENT)
target.ready()
main()
