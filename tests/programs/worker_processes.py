"""Processes that multiprocessing starts: `worker_processes.py fork|spawn|forkserver SECONDS COUNT`.

Each works for so many CPU seconds in `work_in_child`. When all have ended the parent says of each what CPU time it
had used when its work began and ended.
"""

import multiprocessing
import os
import sys
import time

import target


def work_in_child(seconds, clock=target.thread_cpu):
    until = clock() + seconds
    while clock() < until:
        for _ in range(1000):
            pass


def child(seconds, results):
    begin = time.process_time()
    work_in_child(seconds)
    results.put((os.getpid(), begin, time.process_time()))


def main():
    how, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    context = multiprocessing.get_context(how)
    results = context.SimpleQueue()
    target.ready()
    children = [context.Process(target=child, args=(seconds, results)) for _ in range(count)]
    for one in children:
        one.start()
    said = [results.get() for _ in children]
    for one in children:
        one.join()
    target.say("result", {"children": said})
    # What it started ends with it.
    sys.stdin.readline()


if __name__ == "__main__":
    main()
