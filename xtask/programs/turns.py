"""Two processes, each in a cgroup, that take turns on one CPU: `turns.py ROUNDS DOOR DOOR`, a door being the
file cgroup.procs. Says how long a turn took, in nanoseconds."""

import os
import sys
import time


def enter(door):
    with open(door, "w") as file:
        file.write(str(os.getpid()))


def main():
    rounds, door, other_door = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    (ours, to_us), (theirs, to_them) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(to_them)
        enter(other_door)
        while os.read(theirs, 1):
            os.write(to_us, b".")
        os._exit(0)
    enter(door)
    begin = time.perf_counter_ns()
    for _ in range(rounds):
        os.write(to_them, b".")
        os.read(ours, 1)
    print((time.perf_counter_ns() - begin) / (2 * rounds))


main()
