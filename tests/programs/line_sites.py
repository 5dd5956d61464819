"""A generated program with hundreds of call sites in all kinds of statements.

Each call site calls a function of its own, `site_0001`, `site_0002` and so on. The truth comes from the
interpreter itself: before the program says that it is ready, each site function records by
`sys._getframe` which frames called it and on which lines they are. From then on each site function
works for a millisecond.

    chains   {site: [[[function, line], ...], ...]}: every chain of callers a site has, from below `drive`
             to the site's caller
    lines    {function: [line, ...]}: every line that has instructions, for frames that are hit
             elsewhere than in a call site
"""

import dis
import random
import re
import sys
import threading

import target
from line_sites_templates import TEMPLATES

FILE = "line_sites_generated.py"
LEAST_SITES = 600
GAPS = [1, 1, 1, 1, 2, 3, 130, 300]


class Generator:
    def __init__(self):
        self.random = random.Random(1)
        self.sites = 0
        self.functions = []
        self.lines = []

    def add(self, template):
        name = "stmt_%04d" % len(self.functions)
        self.functions.append(name)
        self.lines.append("")
        for line in template.strip("\n").splitlines():
            if line.strip() == "^":
                self.lines += [self.filler() for _ in range(self.random.choice(GAPS))]
                continue
            text = re.sub(r"@@|@|~|NAME", lambda found: self.expand(found.group(), name), line)
            self.lines += text.split("\n")

    def expand(self, what, name):
        if what == "@@":
            return "@"
        if what == "@":
            self.sites += 1
            return "site_%04d" % self.sites
        if what == "~":
            return self.random.choice(["", "", "\n    ", "\n", "  # a remark\n\n    "])
        return name

    def filler(self):
        return self.random.choice(["", "", "", "# a remark", "            # another"])

    def text(self):
        self.lines += ["", "def drive():", "    for work in WORKS:", "        work()", ""]
        self.lines += ["WORKS = [%s]" % ", ".join(self.functions), ""]
        return "\n".join(self.lines)


def generate():
    generator = Generator()
    templates = [text for since, text in TEMPLATES if sys.version_info >= since]
    while generator.sites < LEAST_SITES:
        for template in templates:
            generator.add(template)
    return generator


def make_sites(count):
    """The site functions, on whose frames the profile's callers are looked up."""
    scope = {"hit": HIT}
    text = "".join(
        "def site_{0:04}(*values, **_):\n    hit[0]({0})\n    return values[0] if values else 1\n".format(site)
        for site in range(1, count + 1)
    )
    exec(compile(text, "sites.py", "exec"), scope)
    return scope


def record(site):
    chain = []
    frame = sys._getframe(2)
    while frame.f_code.co_name != "drive":
        chain.append((target.displayed_name(frame.f_code), frame.f_lineno))
        frame = frame.f_back
    CHAINS.setdefault("site_%04d" % site, set()).add(tuple(reversed(chain)))


def spin(_site, clock=target.thread_cpu):
    until = clock() + 0.001
    while clock() < until:
        pass


def code_lines(code, lines):
    """Adds the lines that have instructions, of a code object and those in it."""
    if hasattr(code, "co_lines"):
        found = {line for _, _, line in code.co_lines() if line is not None}
    else:
        found = {line for _, line in dis.findlinestarts(code)}
    # Up to 3.10 a frame that is about to run its first instruction has f_lasti -1, which PyCode_Addr2Line takes for
    # co_firstlineno: the line of `def`. From 3.11 on an instruction of its own stands there.
    found.add(code.co_firstlineno)
    lines.setdefault(target.displayed_name(code), set()).update(found)
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            code_lines(constant, lines)


HIT = [record]
CHAINS = {}
GENERATED = generate()
MODULE = compile(GENERATED.text(), FILE, "exec")
SCOPE = make_sites(GENERATED.sites)
exec(MODULE, SCOPE)
for _ in range(3):
    # Several times: the interpreter specialises its instructions as it warms up.
    SCOPE["drive"]()
LINES = {}
code_lines(MODULE, LINES)
target.ready(
    file=FILE,
    sites=GENERATED.sites,
    chains={site: sorted(chains) for site, chains in CHAINS.items()},
    lines={name: sorted(lines) for name, lines in LINES.items()},
)
HIT[0] = spin


def work():
    while True:
        SCOPE["drive"]()


if not getattr(sys, "_is_gil_enabled", lambda: True)():
    # Without the GIL two threads at a time, each of which has its own copy of the bytecode.
    threading.Thread(target=work, daemon=True).start()
work()
