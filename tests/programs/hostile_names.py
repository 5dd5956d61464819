"""Functions whose names and file names are foreign, long or hostile; each has the same share of the time.

Every name begins with a tag of ASCII letters and digits that no other has, such as `h07x`.

    functions   [[name, file name], ...] as the code objects have them; in code points, since a lone
                surrogate has no place in JSON
"""

import sys

import target

FOREIGN = [
    "h01x_вычислить_расстояние",
    "h02x_计算距离_函数",
    "h03x_距離を計算する",
    "h04x_\U00020000\U0002a6d6_\U00010400\U00010428",
    "h05x_été_naïve_ÿ",
    "h06x_λ_مسافة",
    "h07x_" + "long_" * 139,
    "h08x_" + "длинное" * 100,
]
HOSTILE = [
    "h09x_line\nbreak\r\nand\ttab",
    "h10x_semi;colon;s",
    "h11x_\"double\" 'single' `back` \\backslash\\n",
    "h12x_<script>alert(1)</script>",
    "h13x_&lt;&amp;]]><!--",
    "h14x_\x1b[31mred\x1b]0;title\x07\x9b2J",
    "h15x_lone_\ud800_surrogate_\udfff",
    "h16x_nul_\x00_inside",
    "h17x_ (file.py:1) 7",
    "h18x_\u202eright to left\u202c_\u2028separator",
    "h19x_\U0001f40d\U0001f525",
    "h20x_{\"json\": [1, 2]},",
    "h21x_%s%n%x ${HOME} $(id)",
    "h22x_" + "\U0001f40d" * 200,
]
FILES = [
    "plain.py",
    "каталог/文件.py",
    "<img src=x onerror=alert(2)>.py",
    "semi;colon\n.py",
    "\x1b[2J.py",
    "quote\"'.py",
]
TEMPLATE = """
def work(until, clock=CLOCK):
    while clock() < until:
        pass
"""

def make(name, file):
    scope = {"CLOCK": target.thread_cpu}
    exec(compile(TEMPLATE, file, "exec"), scope)
    function = scope["work"]
    function.__code__ = renamed(function.__code__, name)
    return function


def identifiers():
    """Functions defined under their foreign names, as source code."""
    made = []
    for name in FOREIGN:
        scope = {"CLOCK": target.thread_cpu}
        exec(compile(TEMPLATE.replace("work", name), FILES[1], "exec"), scope)
        # Identifiers are normalised (NFKC) by the parser: the code object says what became of it.
        made += [value for key, value in scope.items() if key.startswith("h")]
    return made


def renamed(code, name):
    if sys.version_info >= (3, 11):
        return code.replace(co_name=name, co_qualname=name)
    if sys.version_info >= (3, 8):
        return code.replace(co_name=name)
    return type(code)(
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_nlocals,
        code.co_stacksize,
        code.co_flags,
        code.co_code,
        code.co_consts,
        code.co_names,
        code.co_varnames,
        code.co_filename,
        name,
        code.co_firstlineno,
        code.co_lnotab,
        code.co_freevars,
        code.co_cellvars,
    )


def points(text):
    return [ord(character) for character in text]


def main():
    while True:
        for function in FUNCTIONS:
            function(target.thread_cpu() + 0.002)


FUNCTIONS = identifiers() + [
    make(name, FILES[number % len(FILES)]) for number, name in enumerate(HOSTILE)
]
target.ready(
    functions=[
        [points(target.displayed_name(function.__code__)), points(function.__code__.co_filename)]
        for function in FUNCTIONS
    ]
)
main()
