"""Functions and stacks that are new each time, without end, and one stack that always comes again.

Half of the time, by the thread's own CPU clock, is spent in `constant`. The other half is spent in functions
`made_NNNNNN`, each of which is made, run once and forgotten; its caller is `left` or `right`, at the end of a chain of
these whose turns are the digits of its number: no chain comes again. Slices have pseudo-random lengths, so that they do
not go in step with a sampler. At the end it says what it measured.
"""

import random
import sys

import target

# The turns of a chain: more than any run has functions.
TURNS = 24
SPENT = {"constant": 0.0, "endless": 0.0, "made": 0}
SOURCE = "def made_%06d(until, clock):\n    while clock() < until:\n        for _ in range(30):\n            pass\n"


def constant(until, clock=target.thread_cpu):
    while clock() < until:
        for _ in range(30):
            pass


def left(turns, depth, work, until):
    if depth:
        (right if turns & 1 else left)(turns >> 1, depth - 1, work, until)
    else:
        work(until, target.thread_cpu)


def right(turns, depth, work, until):
    if depth:
        (right if turns & 1 else left)(turns >> 1, depth - 1, work, until)
    else:
        work(until, target.thread_cpu)


def endless(number, until):
    scope = {}
    exec(compile(SOURCE % number, "made.py", "exec"), scope)
    left(number, DEPTH, scope["made_%06d" % number], until)


def main():
    clock = target.thread_cpu
    lengths = random.Random(50)
    number = 0
    while True:
        number += 1
        before = clock()
        endless(number, before + lengths.uniform(0.0002, 0.0009))
        between = clock()
        SPENT["endless"] += between - before
        # What the other half took, with all that it takes to make a function.
        constant(between + SPENT["endless"] - SPENT["constant"])
        SPENT["constant"] += clock() - between
        SPENT["made"] = number


DEPTH = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
target.at_end(lambda: SPENT)
target.ready()
main()
