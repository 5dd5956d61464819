"""What the programs of known truth share: saying that they are ready, clocks, and their end.

Each program runs on CPython 3.6 and newer from one source, prints one line `ready {json}` once it does
nothing but the work that its test knows, and goes on until it gets SIGTERM.
"""

import json
import os
import signal
import sys
import time

# Whatever becomes of the test that started it, a program ends by itself.
LONGEST_LIFE_S = 900


def ready(**facts):
    """Says that the work begins, with what the test must know about it."""
    signal.alarm(LONGEST_LIFE_S)
    facts["pid"] = os.getpid()
    facts["python"] = "%d.%d.%d" % sys.version_info[:3]
    say("ready", facts)


def at_end(result):
    """Has SIGTERM print `result {json}`, of what the function `result` returns, and end the program."""

    def end(_signal, _frame):
        say("result", result())
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def say(word, facts):
    """Prints one line for the test."""
    sys.stdout.write(word + " " + json.dumps(facts) + "\n")
    sys.stdout.flush()


def thread_cpu(clock=time.CLOCK_THREAD_CPUTIME_ID, read=time.clock_gettime):
    """CPU time of the calling thread in seconds (time.thread_time is not in 3.6)."""
    return read(clock)


def displayed_name(code):
    """The name that a profiler can know of a code object: qualified from 3.11 on."""
    return getattr(code, "co_qualname", code.co_name)
