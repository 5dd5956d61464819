"""Children that get the same process id one after the other: `reused_pid.py SECONDS COUNT`.

clone3(2) can be told which id a child is to have, if that is free. Child number n works in `child_n` for so many
CPU seconds. At the end the parent says the id, and what CPU time the children took.
"""

import ctypes
import os
import resource
import struct
import sys

import target

CLONE3 = 435
SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
SOURCE = """
def child_N(seconds, clock):
    until = clock() + seconds
    while clock() < until:
        for _ in range(1000):
            pass
"""


def fork_as(pid):
    """Forks a child with this id."""
    wanted = ctypes.c_int(pid)
    # struct clone_args (linux/sched.h): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    # set_tid, set_tid_size.
    arguments = struct.pack("10Q", 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(wanted), 1)
    child = SYSCALL(CLONE3, arguments, len(arguments))
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return child


def main():
    seconds, count = float(sys.argv[1]), int(sys.argv[2])
    functions = {}
    for number in range(count):
        exec(compile(SOURCE.replace("N", str(number)), "children.py", "exec"), functions)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for number in range(count):
        if fork_as(child) == 0:
            functions["child_%d" % number](seconds, target.thread_cpu)
            os._exit(0)
        os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    target.say("result", {"child": child, "cpu_s": used})


target.ready()
sys.stdin.readline()
main()
sys.stdin.readline()
