"""Many processes, and many threads, that each work for a short while.

    crowd.py FORKED EXECUTED THREADS LATER

So many children are forked, so many started as new interpreters, and one more is forked that has so many threads. All
wait until the parent reads a line; then they work, and the parent forks some more, which work at once. When all have
worked the parent says `worked`. All live on, idle, until the parent ends.
"""

import os
import subprocess
import sys
import threading

import target

WORK_S = 0.02
THREAD_WORK_S = 0.004


def work(seconds, clock=target.thread_cpu):
    until = clock() + seconds
    while clock() < until:
        for _ in range(100):
            pass


def threads_work(count):
    """The threads exist from the beginning, and work one after the other."""
    gates = [threading.Semaphore(0) for _ in range(count + 1)]
    over = threading.Semaphore(0)

    def worker(number):
        gates[number].acquire()
        work(THREAD_WORK_S)
        gates[number + 1].release()
        over.acquire()

    threading.stack_size(256 << 10)
    for number in range(count):
        threading.Thread(target=worker, args=(number,), daemon=True).start()

    def go():
        gates[0].release()
        gates[count].acquire()

    return go


class Pipes:
    """`go` ends when the work is to begin, `over` when the parent has ended; a byte in `worked` for each child."""

    def __init__(self):
        self.go, self.over, self.worked = os.pipe(), os.pipe(), os.pipe()

    def begin(self):
        os.close(self.go[1])
        self.go = (self.go[0], None)

    def child(self, job):
        for pipe in (self.go, self.over):
            if pipe[1] is not None:
                os.close(pipe[1])
        serve(self.go[0], self.over[0], self.worked[1], job)


def serve(go, over, worked, job):
    os.read(go, 1)
    job()
    os.write(worked, b"1")
    os.read(over, 1)
    os._exit(0)


def fork(pipes, prepare):
    child = os.fork()
    if child == 0:
        pipes.child(prepare())
    return child


def execute(pipes):
    descriptors = [pipes.go[0], pipes.over[0], pipes.worked[1]]
    command = [sys.executable, os.path.abspath(__file__)] + [str(one) for one in descriptors]
    return subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL).pid


def worker():
    return lambda: work(WORK_S)


def wait_for(pipe, count):
    while count > 0:
        count -= len(os.read(pipe, count))


def main(forked, executed, threads, later):
    pipes = Pipes()
    children = [execute(pipes) for _ in range(executed)]
    children += [fork(pipes, worker) for _ in range(forked)]
    if threads > 0:
        children.append(fork(pipes, lambda: threads_work(threads)))
    target.ready(children=children)
    sys.stdin.readline()
    pipes.begin()
    young = [fork(pipes, worker) for _ in range(later)]
    wait_for(pipes.worked[0], len(children) + len(young))
    target.say("worked", {"young": young})
    sys.stdin.readline()


if len(sys.argv) == 4:
    serve(*map(int, sys.argv[1:]), job=worker())
else:
    main(*map(int, sys.argv[1:]))
