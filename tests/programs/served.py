"""A WSGI application whose stacks are known: `/a` and `/b` work in different functions."""


def application(environ, start_response):
    body = (handle_a if environ["PATH_INFO"] == "/a" else handle_b)()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def handle_a():
    return a1()


def a1():
    return a2(20000)


def a2(work):
    while work:
        work -= 1
    return b"a"


def handle_b():
    return b1()


def b1():
    return sorted((20000,), key=b2) and b"b"


def b2(work):
    return b3(work)


def b3(work):
    while work:
        work -= 1
    return work
