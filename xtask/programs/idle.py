"""A parent with mostly idle children. Prints `ready` when all of them run.

idle.py CHILDREN [--executed N] [--threads N] [--pause SECONDS] [--clock]

Each child wakes every `--pause` seconds (a tenth by default) to do little. So many of them as `--executed` says are
started anew, the others are forked. The children have `--threads` more threads in all, which wake as often.
With `--clock` there is one child more, which is always busy: see clock.py."""

import argparse
import os
import random
import subprocess
import sys
import threading
import time

from clock import clock


def little_work():
    return sum(range(1000))


def idle(parent, pause):
    # Not all at the same time.
    time.sleep(random.random() * pause)
    # The kernel gives orphans another parent: they end.
    while os.getppid() == parent:
        little_work()
        time.sleep(pause)


def child(parent, pause, threads):
    random.seed(os.getpid())
    threading.stack_size(256 << 10)
    for _ in range(threads):
        threading.Thread(target=idle, args=(parent, pause), daemon=True).start()
    idle(parent, pause)
    os._exit(0)


def fork(function, *arguments):
    if os.fork() == 0:
        function(*arguments)
        os._exit(0)


def execute(parent, pause, threads):
    words = [sys.executable, __file__, "0", "--parent", str(parent), "--pause", str(pause), "--threads", str(threads)]
    subprocess.Popen(words, stdin=subprocess.DEVNULL)


parser = argparse.ArgumentParser()
parser.add_argument("children", type=int)
parser.add_argument("--executed", type=int, default=0)
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--pause", type=float, default=0.1)
parser.add_argument("--clock", action="store_true")
parser.add_argument("--parent", type=int, help="be a child of this process")
flags = parser.parse_args()
if flags.parent:
    child(flags.parent, flags.pause, flags.threads)
# Some children have many threads, the others none.
GROUP = 30
threads = flags.threads
for number in range(flags.children):
    group = min(threads, GROUP)
    threads -= group
    start = execute if number < flags.executed else lambda *arguments: fork(child, *arguments)
    start(os.getpid(), flags.pause, group)
if flags.clock:
    fork(clock, os.getpid())
print("ready", flush=True)
while True:
    time.sleep(60)
