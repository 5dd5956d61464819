"""A process that is there and sleeps."""

import time

import target


def doze():
    while True:
        time.sleep(3600)


target.ready()
doze()
