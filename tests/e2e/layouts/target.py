# A program that says of itself what is to be found in its memory. It runs on 2.7 as well, which is why its names
# outside ASCII are made at run time: one each of one, two and four bytes per character.
import os, sys, threading

SOURCE = u"""
def %s(hot):
    return %s(hot)
"""
namespace = {}


def leaf(hot):
    codes = []
    for depth in range(len(names) + 1):
        codes.append(sys._getframe(depth).f_code)
    lines = [hex(getattr(threading, "get_ident", lambda: 0)()), hex(os.getpid())]
    for code in codes + [hot.__code__]:
        table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
        lines.append("%d %d %d %d %s" % (id(code), hash(code.co_name), code.co_firstlineno, len(table), code.co_name))
    data = ("\n".join(lines) + "\n\n")
    os.write(1, data.encode("utf-8"))
    os.read(0, 1)
    for _ in range(3000):
        hot(3)
    # What else might change a code object.
    import weakref
    reference = weakref.ref(hot.__code__)
    hot.__code__.co_code
    list(getattr(hot.__code__, "co_lines", list)())
    sys.settrace(lambda *arguments: None)
    hot(3)
    sys.settrace(None)
    os.write(1, b"hot\n")
    while True:
        hot(3)


def hot(n):
    total = 0
    for i in range(n):
        total += i
    return total


names = [u"plain", u"gr\xf6\xdfe", u"\u0438\u043c\u044f", u"\u540d\U00020000"]
if sys.version_info[0] == 2:
    names = [u"plain"]
for name, callee in zip(names, names[1:] + [u"leaf"]):
    namespace["leaf"] = leaf
    exec(SOURCE % (name, callee), namespace)
namespace[names[0]](hot)
