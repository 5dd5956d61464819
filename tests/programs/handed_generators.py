"""Generators that threads advance in turn.

A generator's frame goes with the generator: without the GIL it may point into the bytecode copy of the thread
that ran it last until it is resumed. The caller of `leaf_NNN` is `large`, a generator, on a line that leaves
NNN when divided by `modulus`.
"""

import threading

import target

MODULUS = 1000
STATEMENTS = 200
GENERATORS = 16
STEPS = 5
THREADS = 2


def spin(clock=target.thread_cpu):
    until = clock() + 0.0002
    while clock() < until:
        pass


def make_large():
    scope = {"spin": spin}
    head = "def large():\n    while True:\n"
    numbers = range(3, 3 + STATEMENTS)
    body = "".join("        yield leaf_%03d()\n" % number for number in numbers)
    leaves = "".join("def leaf_%03d():\n    spin()\n" % number for number in numbers)
    exec(compile(leaves, "leaves.py", "exec"), scope)
    exec(compile(head + body, "large.py", "exec"), scope)
    return scope["large"]


def advance(first):
    number = first
    while True:
        generator, lock = HANDED[number % GENERATORS]
        # The other threads go on with the next one rather than wait.
        if lock.acquire(False):
            for _ in range(STEPS):
                next(generator)
            lock.release()
        number += 1


LARGE = make_large()
HANDED = [(LARGE(), threading.Lock()) for _ in range(GENERATORS)]
target.ready(modulus=MODULUS)
for thread in range(1, THREADS):
    threading.Thread(target=advance, args=(thread,), daemon=True).start()
advance(0)
