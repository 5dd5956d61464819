"""One process that is several interpreters in turn: `exec_chain.py SECONDS [-- COMMAND [ARG...]]`.

Works for so many CPU seconds in functions named after the interpreter's version, says so, and executes the
command; the last one waits.
"""

import os
import sys
import time

import target

VERSION = "%d_%d" % sys.version_info[:2]
SOURCE = """
def outer_V(until, clock):
    while clock() < until:
        middle_V()

def middle_V():
    inner_V()
    list(map(inner_V, (1, 2)))

def inner_V(_of=None):
    for _ in range(300):
        pass
"""


def main():
    words = sys.argv[1:]
    names = {}
    exec(compile(SOURCE.replace("V", VERSION), "chain_%s.py" % VERSION, "exec"), names)
    target.say("stage", {"version": VERSION, "python": "%d.%d.%d" % sys.version_info[:3]})
    names["outer_" + VERSION](target.thread_cpu() + float(words[0]), target.thread_cpu)
    if words[1:]:
        os.execvp(words[2], words[2:])
    target.say("result", {"cpu_s": time.process_time()})
    sys.stdin.readline()


main()
