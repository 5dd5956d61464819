"""Busy threads with names, each in a function of its own.

From 3.14 on threading gives the kernel a thread's name; on older versions each thread does so itself, as
servers do that care.
"""

import ctypes
import sys
import threading

import target

PR_SET_NAME = 15


def work_reader(clock=target.thread_cpu):
    spin(clock)


def work_writer(clock=target.thread_cpu):
    spin(clock)


def work_merger(clock=target.thread_cpu):
    spin(clock)


def spin(clock):
    while True:
        clock()


def run(name, work):
    if sys.version_info < (3, 14):
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())
    STARTED.release()
    work()


STARTED = threading.Semaphore(0)
NAMES = ["reader", "writer", "merger"]
for thread_name in NAMES:
    threading.Thread(
        target=run, name=thread_name, args=(thread_name, globals()["work_" + thread_name]), daemon=True
    ).start()
for _ in NAMES:
    STARTED.acquire()
target.ready(names=NAMES)
threading.Event().wait()
