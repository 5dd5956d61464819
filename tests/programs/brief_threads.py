"""Threads that come and go: `brief_threads.py COUNT SECONDS`, ten at a time, of so many CPU seconds each.

At the end it says what CPU time the process has used.
"""

import sys
import threading
import time

import target


def thread_work(seconds):
    thread_loop(target.thread_cpu() + seconds)


def thread_loop(until, clock=target.thread_cpu):
    while clock() < until:
        for _ in range(100):
            pass


def main_starts(count, seconds):
    for _ in range(count // 10):
        threads = [threading.Thread(target=thread_work, args=(seconds,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


target.ready()
sys.stdin.readline()
BEGIN = time.process_time()
main_starts(int(sys.argv[1]), float(sys.argv[2]))
target.say("result", {"cpu_s": time.process_time() - BEGIN})
sys.stdin.readline()
