"""One thread that alternates between the main interpreter and another one, each with its own call chain.

The main interpreter runs chain a, then has the other run chain b, in the same thread. Another thread runs
chain c in an interpreter of its own, at the same time where each has its own GIL. Argument: `own` or `shared`,
of the GIL. The stack is always the beginning of one of `paths`: that of the interpreter which the thread is
in. At the end the program says how much CPU time chain a and chain b took in the main thread.
"""

import sys
import threading

import target

try:
    import _interpreters as interpreters  # 3.13+
except ImportError:
    import _xxsubinterpreters as interpreters  # 3.7 to 3.12

OWN_GIL = sys.argv[1] == "own"
ROUNDS = 20
WORK = 20000

# A waiting thread asks only threads of its own interpreter for the GIL, so that the loop lets go of it.
CHAIN = """
import time

def {0}1(work):
    return {0}2(work)

def {0}2(work):
    return list(map({0}3, (work,)))

def {0}3(work):
    return {0}4(work)

def {0}4(work):
    while work:
        work -= 1

def {0}_forever():
    while True:
        {0}1(WORK)
        time.sleep(0.0001)

WORK = %d
""" % WORK


def create():
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if OWN_GIL else "legacy")
    if sys.version_info >= (3, 9):
        return interpreters.create(isolated=OWN_GIL)
    return interpreters.create()


def a1(work):
    return a2(work)


def a2(work):
    return list(map(a3, (work,)))


def a3(work):
    return a4(work)


def a4(work):
    while work:
        work -= 1


SPENT = {"a": 0.0, "b": 0.0}


def alternate(clock=target.thread_cpu):
    other = create()
    interpreters.run_string(other, CHAIN.format("b"))
    ready()
    calls = 0
    while True:
        calls = calls % ROUNDS + 1
        begin = clock()
        a1(WORK)
        between = clock()
        interpreters.run_string(other, "b1(%d)" % (WORK * calls // ROUNDS))
        end = clock()
        SPENT["a"] += between - begin
        SPENT["b"] += end - between


def apart():
    other = create()
    interpreters.run_string(other, CHAIN.format("c"))
    STARTED.set()
    interpreters.run_string(other, "c_forever()")


def ready():
    run = ["<module>", "alternate"]
    bootstrap = [
        ("Thread." if sys.version_info >= (3, 11) else "") + name
        for name in ("_bootstrap", "_bootstrap_inner", "run")
    ]
    target.ready(
        paths=[
            run + ["a1", "a2", "a3", "a4"],
            run + ["thread_cpu"],
            ["<module>", "b1", "b2", "b3", "b4"],
            ["<module>", "c_forever", "c1", "c2", "c3", "c4"],
            bootstrap + ["apart"],
        ]
    )


STARTED = threading.Event()
threading.Thread(target=apart, daemon=True).start()
STARTED.wait()
target.at_end(lambda: SPENT)
alternate()
