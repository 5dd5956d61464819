"""A function whose line table is larger than 100 KiB.

It has thousands of statements on lines far apart, forwards and backwards; each calls a function whose name is
the line's remainder: the caller of `leaf_042` is on a line that leaves 42 divided by `modulus`.
"""

import ast
import sys

import target

FILE = "large.py"
STATEMENTS = 16000
MODULUS = 499
LEAST_BYTES = 100 * 1024


def lines():
    """Lines from near to far ones, of which some lie before the one before."""
    line = 10
    for number in range(STATEMENTS):
        yield line
        line += 1 + number * 37 % 700
        if number % 50 == 0:
            line -= min(line - 5, 300)


def large():
    """Made as a syntax tree: as text it would have millions of empty lines."""
    scope = {"leaf_%03d" % leaf: make_leaf(leaf) for leaf in range(MODULUS)}
    module = ast.parse("def large():\n    pass\n")
    body = []
    for line in lines():
        statement = ast.parse("leaf_%03d()" % (line % MODULUS)).body[0]
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                node.lineno = line
                if hasattr(node, "end_lineno"):
                    node.end_lineno = line
        body.append(statement)
    module.body[0].body = body
    exec(compile(module, FILE, "exec"), scope)
    return scope["large"]


def make_leaf(leaf):
    name = "leaf_%03d" % leaf
    scope = {"CLOCK": target.thread_cpu}
    text = "def %s(clock=CLOCK):\n    until = clock() + 0.0001\n    while clock() < until:\n        pass\n"
    exec(compile(text % name, "leaves.py", "exec"), scope)
    return scope[name]


def main():
    while True:
        LARGE()


LARGE = large()
CODE = LARGE.__code__
TABLE = CODE.co_linetable if sys.version_info >= (3, 10) else CODE.co_lnotab
assert len(TABLE) > LEAST_BYTES, len(TABLE)
target.ready(modulus=MODULUS, table_bytes=len(TABLE))
main()
