"""Functions that are made, run and freed in a loop, so that every address is used again and again.

Each source has a function `outer` that calls a function `inner`; the inner one's name says what is true:
`inner_III_CCCC_FFFF` is called by `outer_III` or `outer_same`, from line CCCC, and its own first line is FFFF;
it spins on the two lines after that. Sources come in threes of equal sizes which alternate for a while, so
that what one makes is likely to lie where another's lay: code, names and line tables. (Three, since
allocators hand out free blocks with even periods.) The sources of a set differ in one way only:

    name    other names, same lines
    first   same name of the outer function, other first line, so that its line table is the same
    table   same name and first line, other line table
    all     other names and other lines

With --measure it says for each way how often a code object had address, name, file name, line table (all by
address) and first line of one before it that was another function.
"""

import sys

import target

FILE = "reused.py"
ROUNDS = 40
VARIANTS = 3


def source(way, number, variant):
    """Text, and the outer function's name."""
    before = 10 + number % 50
    gap = 2 + number % 30
    if way in ("first", "all"):
        before += 7 * variant
    if way in ("table", "all"):
        gap += 19 * variant
    shown = number * VARIANTS + variant
    outer = "outer_same" if way in ("first", "table") else "outer_%03d" % shown
    call_line = before + 1 + gap
    # The inner function is at the same place in all variants.
    inner_line = 200 + number % 60
    inner = "inner_%03d_%04d_%04d" % (shown, call_line, inner_line)
    lines = [""] * before
    lines += ["def %s(work):" % outer] + [""] * (gap - 1) + ["    return %s(work)" % inner]
    lines += [""] * (inner_line - 1 - len(lines))
    lines += ["def %s(work):" % inner, "    while work:", "        work -= 1", ""]
    return "\n".join(lines), outer


def sets():
    made = []
    for number in range(1000 // VARIANTS):
        way = ("name", "first", "table", "all")[number % 4]
        made.append((way, [source(way, number, variant) for variant in range(VARIANTS)]))
    return made


def make_and_run(text, outer, scope):
    exec(compile(text, FILE, "exec"), scope)
    scope[outer](WORK)


def main():
    scope = {}
    while True:
        for _way, sources in SETS:
            for _ in range(ROUNDS):
                for text, outer in sources:
                    make_and_run(text, outer, scope)
                    scope.clear()


def measure():
    counts = {}
    for way, sources in SETS[:40]:
        before = {}
        for _ in range(ROUNDS):
            for text, outer in sources:
                scope = {}
                exec(compile(text, FILE, "exec"), scope)
                code = scope[outer].__code__
                table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
                identity = (id(code), id(code.co_name), id(code.co_filename), id(table), code.co_firstlineno)
                total, same = counts.get(way, (0, 0))
                counts[way] = (total + 1, same + (before.get(identity, hash(text)) != hash(text)))
                before[identity] = hash(text)
                scope.clear()
                del code, table, scope, identity
    target.say("result", counts)


# Some tenths of a millisecond: many samples meet each set.
WORK = 5000
SETS = sets()
if "--measure" in sys.argv:
    measure()
else:
    target.ready()
    main()
