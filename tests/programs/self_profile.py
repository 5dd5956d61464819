"""Profiles a program of this folder from inside: `self_profile.py PROGRAM SAMPLES`.

A signal handler looks at the frame that it interrupts, which is exact. What it saw goes to standard output in
the collapsed format, in a line `result {"collapsed": ...}`. So the programs and the tests' checks are tested
against each other without the profiler under test.
"""

import collections
import os
import signal
import sys

import target

INTERVAL_S = 0.001
STACKS = collections.Counter()


def shown(code, line):
    text = "%s (%s:%d)" % (target.displayed_name(code), os.path.basename(code.co_filename), line)
    return "".join(
        character if character.isprintable() and character != ";" else "?" for character in text
    )


def look(_signal, frame):
    stack = []
    while frame is not None and frame.f_code is not OWN:
        if frame.f_code in OWN_FUNCTIONS:
            # Late enough, a signal comes while the last one is still handled: the program stands still then.
            return
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    STACKS[tuple(reversed(stack))] += 1
    if sum(STACKS.values()) >= SAMPLES:
        signal.setitimer(signal.ITIMER_REAL, 0)
        lines = [
            "%s %d" % (";".join(shown(code, line) for code, line in stack), count)
            for stack, count in STACKS.items()
        ]
        target.say("result", {"collapsed": "".join(line + "\n" for line in lines)})
        os._exit(0)


def ready(say_ready=target.ready, **facts):
    say_ready(**facts)
    # This takes the place of the alarm that ends the program.
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL_S, INTERVAL_S)


OWN = sys._getframe().f_code
OWN_FUNCTIONS = (look.__code__, ready.__code__)
PROGRAM, SAMPLES = sys.argv[1], int(sys.argv[2])
target.ready = ready
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), PROGRAM)) as source:
    TEXT = source.read()
exec(compile(TEXT, PROGRAM, "exec"), {"__name__": "__main__"})
