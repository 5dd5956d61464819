"""Starts threads with all kinds of names and attributes, says which on a line of JSON, and waits until
its standard input is closed. Runs on CPython 3.6 and newer.

The line holds the address of a pointer to the first interpreter state, and [ident, native id or null,
name] for each thread, with lone surrogates replaced, which JSON cannot carry.
"""

import ctypes
import json
import os
import re
import sys
import threading

try:
    import _interpreters as interpreters  # 3.13+
except ImportError:
    try:
        import _xxsubinterpreters as interpreters  # 3.8 to 3.12
    except ImportError:
        interpreters = None

done = threading.Event()
threads = [threading.main_thread()]
# Those that other interpreters started.
foreign = []


class WithSlots(threading.Thread):
    """Larger than an instance of Thread, so that its attributes lie elsewhere."""

    __slots__ = ("first", "second")


class WithManyAttributes(threading.Thread):
    """Too many attributes for keys that instances share."""

    def __init__(self, **arguments):
        for number in range(100):
            setattr(self, "attribute_%d" % number, number)
        super().__init__(**arguments)


class WithDeletedAttributes(threading.Thread):
    def __init__(self, **arguments):
        self.gone = self.gone_too = 1
        super().__init__(**arguments)
        del self.gone, self.gone_too


def start(name, kind=threading.Thread, target=done.wait):
    thread = kind(target=target, name=name, daemon=True)
    thread.start()
    threads.append(thread)
    return thread


start("worker-1")
start("рабочий поток")
start("Größenrechner")
start("计算线程")
start("snake \U0001f40d <script>;\n\x1b[31m")
start("lone \ud800 surrogate")
start("")
start("x" * 700)
start("slots", WithSlots)
start("many attributes", WithManyAttributes)
start("deleted attributes", WithDeletedAttributes)
vars(start("seen through vars()"))["extra"] = 1
start("old name").name = "new name"
for number in range(60):
    start("ThreadPoolExecutor-0_%d" % number)

if interpreters:
    # A thread which runs code in another interpreter, whose own `threading` takes it for its main
    # thread, and a thread of that interpreter.
    read_end, write_end = os.pipe()
    # Isolated ones, the default, may not start threads.
    inner = interpreters.create(**{"isolated": False} if (3, 9) <= sys.version_info < (3, 13) else {})
    code = """if True:
        import os, threading
        inner = threading.Thread(target=threading.Event().wait, name="in another interpreter")
        inner.start()
        os.write(%d, ("%%d %%d" %% (inner.ident, inner.native_id)).encode())
        threading.Event().wait()
    """

    def run():
        try:
            interpreters.run_string(inner, code % write_end)
        finally:
            os.close(write_end)

    start("host of an interpreter", target=run)
    ident, native_id = os.read(read_end, 100).split()
    foreign.append([int(ident), int(native_id), "in another interpreter"])

threading.main_thread().name = "главный"

head = ctypes.pythonapi.PyInterpreterState_Head
head.restype = ctypes.c_void_p
pointer = ctypes.c_void_p(head())
known = [
    [
        thread.ident,
        getattr(thread, "native_id", None),
        re.sub("[\ud800-\udfff]", "\ufffd", thread.name),
    ]
    for thread in threads
]
print(json.dumps({"interpreters": ctypes.addressof(pointer), "threads": known + foreign}), flush=True)
sys.stdin.read()
os._exit(0)
