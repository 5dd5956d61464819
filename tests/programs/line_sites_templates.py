"""Statements of all kinds, as templates: what line_sites.py makes its program of.

In a template NAME is the function to be called, `@` a call site of its own, `~` a place where a call may be
broken over lines, and a line with `^` alone a gap of some or of hundreds of lines. A call site returns its first argument, or 1.
Each call site of a template is reached when NAME() is called. Up to 3.11 f-strings cannot be broken over lines.
"""

# (the least Python version that has the syntax, text)
TEMPLATES = [
    ((3, 6), """
def NAME():
    @()
    ^
    value = @(~2~)
    ^
    value += @(3)
    value = @(~4~,~5~) + @(~6~,~7~) * value
    ^
    return @(value)
"""),
    ((3, 6), """
def NAME():
    try:
        @()
    finally:
        @()
    ^
    try:
        raise ValueError(@(~"text"~))
    except KeyError:
        pass
    except (TypeError, ValueError) as error:
        ^
        @(error)
    else:
        pass
    finally:
        @(~)
    return @()
"""),
    ((3, 6), """
def NAME():
    try:
        ^
        try:
            {}[@("no such key")]
        except KeyError:
            @()
            raise
        finally:
            ^
            @()
    except LookupError as error:
        @(~error~,~1~)
    try:
        @()
    except ValueError:
        pass
    else:
        @()
        ^
    for number in range(2):
        try:
            if number:
                break
            continue
        finally:
            @()
"""),
    ((3, 6), """
class NAME_manager:
    def __init__(self, swallow):
        self.swallow = @(~swallow~)

    def __enter__(self):
        return @(self)

    def __exit__(self, *_):
        ^
        @()
        return self.swallow

def NAME():
    with NAME_manager(@(False)) as one, \\
            NAME_manager(@(~True~)) as two:
        @(one)
        ^
        raise ValueError(@(two))
    ^
    with NAME_manager(False):
        return @()
"""),
    ((3, 6), """
def NAME():
    squares = [@(number) for number in @(~range(2)~)]
    ^
    pairs = {@(key): @(~value~) for key, value in @([(1, 2)])}
    both = {@(one)
            for one in squares
            ^
            if @(~True~)}
    nested = [[@(inner) for inner in @([outer, 2])]
              for outer in @([1])
              if @(outer)]
    lazy = (@(one) for one in @(squares))
    ^
    return list(lazy), sum(
        @(~one~)
        ^
        for one in squares
    ), pairs, both, nested
"""),
    ((3, 6), """
def NAME():
    total = max(@(1),
                @(2),
                ^
                min(@(3), @(~4~)),
                @(
                    5
                ))
    print(~@(""), end=@(~""~), file=~@(None),~ flush=False)
    ^
    return dict(
        first=@(~1~),
        ^
        second=@(2),
        **@({"third": @(3)})
    ), total
"""),
    ((3, 6), """
def NAME():
    first = @(1) if @(~True~) else 0
    ^
    second = (0
              if @(False)
              else @(~2~))
    third = @(0) or @(~0~) or (
        @(3) and
        ^
        @(~4~)
    )
    fourth = not @(True)
    ^
    fifth = @(1) < @(~2~) < @(3) <= (
        @(4))
    return first, second, third, fourth, fifth, @(1) in @([1]), @() is @(None), -@(~3~)
"""),
    ((3, 6), """
def NAME():
    def inner(one: @(int), two=@(2)) -> @(~int~):
        @(one)
        ^
        def innermost():
            nonlocal two
            two = @(~two~)
            return @(one)
        return innermost() + @(two)

    inner.__annotations__
    ^
    add = lambda one, two: @(one) + \\
        @(~two~)
    return add(@(1), inner(@(~2~))), (lambda: @())()
"""),
    ((3, 6), """
def NAME_decorator(*arguments):
    def decorate(function):
        def wrapper(*positional):
            @()
            ^
            return function(*positional)
        return @(~wrapper~)
    return decorate

def NAME():
    @@NAME_decorator(@(1),
                     @(~2~))
    ^
    @@NAME_decorator(@())
    def decorated(value=@(~4~)):
        return @(value)
    return decorated()
"""),
    ((3, 6), """
def NAME():
    text = f"{@(1)} and {@('two')!r:>{@(10)}}"
    ^
    text += "%s %s" % (@(1),
                       @(~2~))
    text += f"{@(1)}" f"{@(2)}" \\
        f"{@(3)}"
    ^
    return text.join([@("a"), @(~"b"~)]).replace(
        @("a"),
        ^
        @(~"c"~),
    ).upper().count(@("C"))
"""),
    ((3, 6), """
def NAME():
    number = 0
    while @(number) < 2:
        number += @(1)
        ^
        if number == @(5):
            break
    else:
        @()
    ^
    for number in @(~range(3)~):
        if @(number) == 1:
            ^
            continue
        elif @(~number~) == 2:
            @()
            break
        else:
            @()
    else:
        pass
    return @(number)
"""),
    ((3, 6), """
def NAME():
    assert @(True)
    ^
    assert @(~True~), "never"
    try:
        assert @(False), @("message")
    except AssertionError:
        @()
    table = {@(1): [@(~2~), 3], "x": @({})}
    ^
    del table[@(1)][@(~0~)]
    table["x"][@("y")] = @(~"z"~)
    table[
        @("x")
    ][
        ^
        @("y")
    ] += @("more")
    return table["x"]["y"][@(0):@(~3~):@(1)]
"""),
    ((3, 6), """
def NAME_define():
    class NAME_class(@(object)):
        field = @(~1~)
        ^
        other = [@(2), 3]

        def __init__(self, value):
            self.value = @(value)

        @@property
        def doubled(self):
            ^
            return @(self.value) * 2

        def __getitem__(self, key):
            return @(~key~)

        def __getattr__(self, name):
            return @(name)

        def __add__(self, other):
            ^
            return @(other)

        def __iadd__(self, other):
            @(~)
            return self

        def __contains__(self, item):
            return @(True)

        def __iter__(self):
            yield @(1)
            ^
            yield @(~2~)

        def __call__(self, *arguments):
            return @(arguments)

        def __eq__(self, other):
            return @(False)

        def __bool__(self):
            return @(~True~)

        def __del__(self):
            @()

        @@classmethod
        def made(cls, value):
            return cls(@(value))

        @@staticmethod
        def fixed():
            return @()
    return NAME_class

def NAME():
    thing = NAME_define().made(@(1))
    ^
    thing.value = thing.doubled + thing[
        @(~2~)
    ]
    thing.missing
    ^
    result = (thing +
              @(3))
    thing += 4
    result = result in thing, [*thing], thing(@(5))
    if (thing
            ^
            and thing == 3):
        pass
    first, second = thing
    ^
    thing.fixed()
    del thing
    return result
"""),
    ((3, 6), """
def NAME_generator(limit):
    sent = yield @(limit)
    ^
    try:
        sent = yield @(~sent~)
        yield from (@(one) for one in [sent, 2])
    finally:
        @()

def NAME_outer():
    ^
    result = yield from NAME_generator(@(2))
    return @(result)

def NAME():
    generator = NAME_outer()
    next(generator)
    generator.send(@(1))
    ^
    generator.send(
        @(~2~)
    )
    for _ in generator:
        @()
    half = NAME_generator(@(3))
    next(half)
    ^
    half.send(@(4))
    half.close()
    thrown = NAME_generator(5)
    next(thrown)
    try:
        thrown.send(1)
        thrown.throw(ValueError)
    except ValueError:
        @()
"""),
    ((3, 6), """
class NAME_awaitable:
    def __await__(self):
        yield @()
        return @(1)

class NAME_context:
    async def __aenter__(self):
        ^
        return await NAME_awaitable()

    async def __aexit__(self, *_):
        @()

class NAME_iterator:
    def __aiter__(self):
        return @(self)

    async def __anext__(self):
        ^
        raise StopAsyncIteration(@())

async def NAME_async_generator():
    ^
    yield @(1)
    yield @(~2~)

async def NAME_coroutine():
    await NAME_awaitable()
    ^
    async with NAME_context() as value:
        @(value)
    async for _ in NAME_iterator():
        pass
    else:
        @()
    values = [@(one) async for one in NAME_async_generator()
              ^
              if @(one)]
    return @(values)

def NAME():
    coroutine = NAME_coroutine()
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        @()
"""),
    ((3, 6), """
def NAME():
    ^
    values = sorted(@([3, 1, 2]),
                    ^
                    key=lambda one: @(~one~))
    values = list(map(lambda one: @(one),
                      filter(lambda one: @(True), values)))
    first, *rest = @(values)
    ^
    (one, two), three = (@(1), @(~2~)), \\
        @(3)
    values[@(0)], values[@(1)] = @(~[1, 2]~)
    merged = [*@([1]), *@(~[2]~)], {**@({}), **@(~{}~)}, (@(1), *@([2]))
    ^
    return max(*@([1, 2]), *values[:@(1)], key=@(abs)), merged, first, rest, one, two, three
"""),
    ((3, 6), """
def NAME():
    @(); @(); @(~)
    ^
    if @(True): @()
    if (@(True)
            ^
            and @(~True~)):
        @()
    value = @(
        @(
            @(
                1
            ),
            ^
            @(2)
        )
    )
    ^
    value = (@(1)
             + @(2)
             ^
             - @(~3~)
             * @(4))
    return (
        @(value),
        ^
        @(~value~),
    )
"""),
    ((3, 6), """
def NAME():
    result = (
        NAME_chain(@(1))
        .then(@(2))
        ^
        .then(
            @(~3~),
            @(4),
        )
        .then(~@(5)~)
        .value
    )
    ^
    return result

class NAME_chain:
    def __init__(self, value):
        self.value = @(value)

    def then(self, value, *_):
        ^
        self.value += @(~value~)
        return self
"""),
    ((3, 6), """
def NAME():
    def recurse(depth):
        if depth:
            ^
            recurse(depth - @(1))
            return @(~depth~)
        @()
        ^
        return @(depth)
    recurse(2)
    ^
    exec("VALUE(1)\\n\\nVALUE(\\n2)", {"VALUE": lambda value: @(value)})
    eval("(VALUE(1),\\n\\nVALUE(2))", {"VALUE": lambda value: @(~value~)})
    global NAME_global
    NAME_global = @(1)
    ^
    import collections.abc
    return @(collections), type("NAME_made", (@(object),), {"x": @(1)})
"""),
    ((3, 6), """
def NAME():
    value: int = @(0)
    counter = {"n": @(~0~)}
    counter["n"] -= @(1); counter["n"] |= (
        @(6))
    ^
    while True:
        try:
            with open(@("/dev/null")) as file:
                for line in file:
                    pass
                else:
                    ^
                    @(file)
                if @(True):
                    return @(~value~)
        finally:
            if @(counter):
                ^
                @()
"""),
    ((3, 8), """
def NAME():
    if (first := @(1)) and (
            second := @(~2~)):
        @(first)
    ^
    def only(one, /, two=@(2), *, three=@(~3~)):
        return @(one)
    return only(@(1)), [last := @(one) for one in [1]], f"{@(1)=}", last
"""),
    ((3, 10), """
def NAME():
    for subject in ([1, 2], {"x": 3}, "text", 7):
        match @(subject):
            case [one, two] if @(one):
                @(two)
                ^
            case {"x": value} if @(~False~):
                pass
            case {"x": value}:
                @(~value~)
            case str() as text:
                ^
                @(text)
            case _:
                @()
    with (
        open(@("/dev/null")) as one,
        ^
        open(@(~"/dev/null"~)) as two,
    ):
        return @(one), @(two)
"""),
    ((3, 11), """
def NAME():
    try:
        raise ExceptionGroup(@("text"), [ValueError(@(1)),
                                         TypeError(@(~2~))])
    except* ValueError as group:
        @(group)
        ^
    except* TypeError:
        @()
    finally:
        @()
"""),
    ((3, 12), """
def NAME():
    type Alias[One] = list[@(One)]
    ^
    Alias.__value__
    def generic[Kind: @(int)](value: Kind) -> Kind:
        return @(~value~)
    class Holder[Kind]:
        held = @(1)
    generic.__type_params__[0].__bound__
    text = f"{@(f"{@(1)}")} {
        @(~2~)
    }"
    return generic(@(1)), text
"""),
    ((3, 14), """
def NAME():
    template = t"{@(1)} {@(~2~)}"
    ^
    try:
        @(template)
        raise KeyError
    except ValueError, KeyError:
        @()
    def annotated(value: @(int)):
        pass
    annotated.__annotations__
"""),
]
