"""Generators and coroutines under consumers that advance them in turn.

A generator's frame lives in the generator; who its caller is changes with each advance. The stack is always
the beginning of one of `paths`: each consumer has generators that no other advances, `shared` has one
generator object for each of two consumers, and `moved` is a single generator object that two consumers
advance alternately.
"""

import types

import target


def burn(work):
    while work:
        work -= 1


def work_x1():
    burn(20)


def work_x2():
    burn(20)


def leaf_x():
    burn(20)


def leaf_y():
    burn(20)


def leaf_z():
    burn(20)


def x_outer():
    while True:
        work_x1()
        yield from x_middle()


def x_middle():
    work_x2()
    yield from x_inner()
    yield 1


def x_inner():
    for _ in range(3):
        leaf_x()
        yield 2


def y_outer():
    for value in y_inner():
        leaf_y()
        yield value


def y_inner():
    while True:
        burn(10)
        yield 3


def shared(leaf):
    while True:
        leaf()
        yield 4


def moved():
    leaf = yield
    while True:
        leaf()
        leaf = yield


@types.coroutine
def z_pause():
    burn(10)
    yield 5


async def z_inner():
    leaf_z()
    await z_pause()
    leaf_z()


async def z_outer():
    while True:
        await z_inner()


def consumer_x(own, common, handed):
    for _ in range(3):
        next(own)
        next(common)
        handed.send(leaf_x)


def consumer_y(own, common, handed):
    for _ in range(3):
        next(own)
        next(common)
        handed.send(leaf_y)


def consumer_z(own):
    for _ in range(3):
        own.send(None)


def main():
    own_x, own_y, own_z = x_outer(), y_outer(), z_outer()
    common_x, common_y = shared(leaf_x), shared(leaf_y)
    handed = moved()
    next(handed)
    while True:
        consumer_x(own_x, common_x, handed)
        consumer_y(own_y, common_y, handed)
        consumer_z(own_z)


PATHS = """
    consumer_x x_outer work_x1 burn
    consumer_x x_outer x_middle work_x2 burn
    consumer_x x_outer x_middle x_inner leaf_x burn
    consumer_x shared leaf_x burn
    consumer_x moved leaf_x burn
    consumer_y y_outer y_inner burn
    consumer_y y_outer leaf_y burn
    consumer_y shared leaf_y burn
    consumer_y moved leaf_y burn
    consumer_z z_outer z_inner z_pause burn
    consumer_z z_outer z_inner leaf_z burn
"""
target.ready(paths=[["<module>", "main"] + path.split() for path in PATHS.strip().splitlines()])
main()
