"""Two call chains that alternate and never mix.

Chain a goes from Python to Python. Chain b is longer and enters each level through C (map, sorted, partial,
slots, descriptors), where interpreters of 3.11 and newer push frames of their own that are no Python frames.
The stack is always the beginning of one of `paths`.
"""

import functools
import operator

import target


def a1(work):
    return a2(work)


def a2(work):
    return a3(work)


def a3(work):
    return a4(work)


def a4(work):
    while work:
        work -= 1
    return work


def b1(work):
    return list(map(b2, (work,)))


def b2(work):
    return sorted((work,), key=b3)


def b3(work):
    return functools.partial(b4, work)()


class Hooks:
    """Python functions that C calls through a type's slots."""


def b4(work):
    return HOOKS[work]


def b5(_self, work):
    return HOOKS(work)


def b6(_self, work):
    setattr(HOOKS, "work", work)
    return HOOKS.attribute


def b7(self):
    return functools.reduce(b8, (0, self.work))


def b8(_total, work):
    return max((work,), key=b9)


def b9(work):
    return operator.methodcaller("method", work)(HOOKS)


def b10(_self, work):
    return b11(work)


def b11(work):
    while work:
        work -= 1
    return work


Hooks.__getitem__ = b5
Hooks.__call__ = b6
Hooks.attribute = property(b7)
Hooks.method = b10
HOOKS = Hooks()


def main():
    work = 0
    while True:
        work = (work + 1) % 25
        a1(work)
        b1(work)


ROOT = ["<module>", "main"]
target.ready(
    paths=[
        ROOT + ["a%d" % level for level in range(1, 5)],
        ROOT + ["b%d" % level for level in range(1, 12)],
    ]
)
main()
