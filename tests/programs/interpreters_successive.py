"""Interpreters that come and go, each with functions that lie where those of the one before it lay.

Each runs `even` or `odd_`, scripts of the same shape in which an interpreter that counts versions of code objects from
the beginning gives the same ones out again. Which one is up to chance: memory may be handed out in turns too. Argument: `own` or `shared`, of the
GIL. At the end the program says how much CPU time each function took, by its own clock.
"""

import random
import sys

import target

try:
    import _interpreters as interpreters  # 3.13+
except ImportError:
    import _xxsubinterpreters as interpreters  # 3.12

OWN_GIL = sys.argv[1] == "own"
SPENT = {"even": 0.0, "odd_": 0.0}
WORK = {"even": 600000, "odd_": 1800000}
SCRIPT = """
def %s(work):
    while work:
        work -= 1

%s(%d)
"""


def create():
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if OWN_GIL else "legacy")
    return interpreters.create(isolated=OWN_GIL)


def take_turns(clock=target.thread_cpu):
    chance = random.Random(1)
    while True:
        name = chance.choice(("even", "odd_"))
        other = create()
        begin = clock()
        interpreters.run_string(other, SCRIPT % (name, name, WORK[name]))
        SPENT[name] += clock() - begin
        interpreters.destroy(other)


target.at_end(lambda: SPENT)
target.ready()
take_turns()
