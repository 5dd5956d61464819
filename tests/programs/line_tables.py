"""Streams the line table of every code object in the standard library, with what CPython itself says
of each code unit, to standard output.

For each code object, in the machine's byte order and with 4-byte numbers:
    length of the table, co_firstlineno, number of runs, the table,
    and for each run of code units with the same position:
    how many units, line, end line, column, end column (-1: none)
The stream ends with a length of -1, the number of source files and that of code objects. Runs on
CPython 3.6 and newer.
"""

import ast
import dis
import importlib.util
import itertools
import marshal
import os
import struct
import sys
import sysconfig
from array import array

BYTES_PER_UNIT = 2


def runs_from_starts(starts, size):
    """Runs from (offset, line) pairs: a line holds up to the next pair."""
    starts = list(starts)
    assert starts[0][0] == 0
    for (start, line), (end, _) in zip(starts, starts[1:] + [(size, None)]):
        yield from ((end - start) // BYTES_PER_UNIT, -1 if line is None else line, -1, -1, -1)


def runs_of(code):
    if hasattr(code, "co_positions"):
        for position, units in itertools.groupby(code.co_positions()):
            yield sum(1 for _ in units)
            for number in position:
                yield -1 if number is None else number
    elif hasattr(code, "co_lines"):
        ranges = [(start, line) for start, end, line in code.co_lines() if start != end]
        yield from runs_from_starts(ranges, len(code.co_code))
    else:
        yield from runs_from_starts(dis.findlinestarts(code), len(code.co_code))


def table_of(code):
    return code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab


def write(code, out):
    """Writes a code object and those among its constants; returns how many."""
    table = table_of(code)
    runs = array("i", runs_of(code))
    assert sum(runs[::5]) * BYTES_PER_UNIT == len(code.co_code)
    out.write(struct.pack("=iii", len(table), code.co_firstlineno, len(runs) // 5))
    out.write(table)
    out.write(runs.tobytes())
    nested = (constant for constant in code.co_consts if hasattr(constant, "co_code"))
    return 1 + sum(write(constant, out) for constant in nested)


def load(path):
    """The code object of a source file: from its .pyc, which is quicker to read, or compiled."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as cached:
            content = cached.read()
        header = 12 if sys.version_info < (3, 7) else 16  # PEP 552
        if content[:4] == importlib.util.MAGIC_NUMBER:
            return marshal.loads(content[header:])
    except OSError:
        pass
    try:
        with open(path, "rb") as source:
            return compile(source.read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None  # Files that are broken on purpose, for the tests of CPython itself.


def sources():
    library = sysconfig.get_path("stdlib")
    for folder, folders, files in os.walk(library):
        folders[:] = [name for name in folders if name not in ("site-packages", "dist-packages")]
        yield from (os.path.join(folder, name) for name in files if name.endswith(".py"))


def huge():
    """A function whose line table is longer than 100 KiB and which jumps hundreds of lines back and
    forth, as generated code with #line directives does."""
    statements = 1000
    while True:
        tree = ast.parse("def huge():\n" + "    x = 1\n" * statements)
        for number, statement in enumerate(tree.body[0].body):
            line = 5 + number if number % 2 else 1000 - number % 400
            for node in ast.walk(statement):
                if hasattr(node, "lineno"):
                    node.lineno = node.end_lineno = line
        module = compile(tree, "<huge>", "exec")
        function = next(constant for constant in module.co_consts if hasattr(constant, "co_code"))
        if len(table_of(function)) > 100 * 1024:
            return function
        statements += 1000


def main():
    out = sys.stdout.buffer
    files = 0
    objects = write(huge(), out)
    for path in sources():
        code = load(path)
        if code is not None:
            files += 1
            objects += write(code, out)
    out.write(struct.pack("=iii", -1, files, objects))


main()
