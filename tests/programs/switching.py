"""Stacks that take turns in one thread: `switching.py gevent|greenlet|asyncio|uvloop`.

Two workers let go of the thread at every level of their calls. Whatever runs has frames of one worker only.
"""

import sys

import target

HOW = sys.argv[1]


def burn():
    for _ in range(300):
        pass


def worker_a(switch):
    while True:
        a1(switch)


def a1(switch):
    switch()
    burn()
    a2(switch)
    burn()


def a2(switch):
    burn()
    switch()
    a3(switch)


def a3(switch):
    switch()
    burn()


def worker_b(switch):
    while True:
        list(map(b1, (switch,)))


def b1(switch):
    burn()
    switch()
    b2(switch)


def b2(switch):
    switch()
    burn()


async def task_a(switch):
    while True:
        await ta1(switch)


async def ta1(switch):
    burn()
    await switch(0)
    await ta2(switch)


async def ta2(switch):
    burn()
    await switch(0)
    burn()


async def task_b(switch):
    while True:
        await tb1(switch)


async def tb1(switch):
    burn()
    await switch(0)
    burn()


A = [["worker_a", "a1", "burn"], ["worker_a", "a1", "a2", "burn"], ["worker_a", "a1", "a2", "a3", "burn"]]
B = [["worker_b", "b1", "burn"], ["worker_b", "b1", "b2", "burn"]]
TASKS = [["task_a", "ta1", "burn"], ["task_a", "ta1", "ta2", "burn"], ["task_b", "tb1", "burn"]]


def run_gevent():
    import gevent

    target.ready(paths=A + B)
    gevent.joinall([gevent.spawn(worker, lambda: gevent.sleep(0)) for worker in (worker_a, worker_b)])


def run_greenlet():
    import greenlet

    # Each hands over to the other.
    workers = {}
    workers["a"] = greenlet.greenlet(lambda: worker_a(lambda: workers["b"].switch()))
    workers["b"] = greenlet.greenlet(lambda: worker_b(lambda: workers["a"].switch()))
    target.ready(paths=A + B)
    workers["a"].switch()


def run_loop(module):
    import asyncio

    async def both():
        target.ready(paths=TASKS)
        await asyncio.gather(task_a(asyncio.sleep), task_b(asyncio.sleep))

    if module is not None:
        module.install()
    asyncio.run(both())


if HOW == "gevent":
    run_gevent()
elif HOW == "greenlet":
    run_greenlet()
elif HOW == "uvloop":
    import uvloop

    run_loop(uvloop)
else:
    run_loop(None)
