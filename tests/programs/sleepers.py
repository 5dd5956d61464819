"""Forty threads, or as many as are asked for, that sleep in eight ways, and a busy main thread."""

import os
import queue
import select
import socket
import sys
import threading
import time

import target


def sleep_in_time():
    time.sleep(100000)


def sleep_in_lock():
    HELD.acquire()


def sleep_in_queue():
    queue.Queue().get()


def sleep_in_select():
    select.select([NEVER_READABLE], [], [])


def sleep_in_event():
    threading.Event().wait()


def sleep_in_timed_wait():
    threading.Event().wait(100000)


def sleep_in_read():
    os.read(NEVER_READABLE, 1)


def sleep_in_receive():
    SOCKETS[0].recv(1)


def busy_main():
    value = 0
    while True:
        for step in range(1000):
            value += step


NEVER_READABLE, _WRITER = os.pipe()
SOCKETS = socket.socketpair()
HELD = threading.Lock()
HELD.acquire()
WAYS = [
    sleep_in_time,
    sleep_in_lock,
    sleep_in_queue,
    sleep_in_select,
    sleep_in_event,
    sleep_in_timed_wait,
    sleep_in_read,
    sleep_in_receive,
]
THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 40
for number in range(THREADS):
    threading.Thread(target=WAYS[number % len(WAYS)], daemon=True).start()
# Every thread is asleep by now or soon: the main thread takes no CPU time that would keep them from it.
time.sleep(1)
target.ready(threads=THREADS)
busy_main()
