"""How far do all flights of a year go? Once row by row with pandas, once with whole columns in numpy.

    python3 flights.py                     both ways, their times and the speed-up
    python3 flights.py --flights 200000    fewer flights
    python3 flights.py --only rows         one way only: rows or columns
    python3 flights.py --measure           also says which share of the CPU time iterrows() took

The flights are made up, from a fixed seed. Needs numpy and pandas.
"""

import argparse
import json
import math
import time

import numpy
import pandas

EARTH_RADIUS_KM = 6371.0
COLUMNS = ["from_latitude", "from_longitude", "to_latitude", "to_longitude"]


def make_flights(count):
    """Flights between random places, in degrees."""
    random = numpy.random.default_rng(seed=1903)
    latitudes = random.uniform(-60, 70, (2, count))
    longitudes = random.uniform(-180, 180, (2, count))
    values = [latitudes[0], longitudes[0], latitudes[1], longitudes[1]]
    return pandas.DataFrame(dict(zip(COLUMNS, values)))


def haversine(from_latitude, from_longitude, to_latitude, to_longitude):
    """Great-circle distance in km between two places."""
    from_latitude, to_latitude = math.radians(from_latitude), math.radians(to_latitude)
    across = math.radians(to_longitude - from_longitude)
    half_chord = (
        math.sin((to_latitude - from_latitude) / 2) ** 2
        + math.cos(from_latitude) * math.cos(to_latitude) * math.sin(across / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half_chord))


def haversine_columns(from_latitude, from_longitude, to_latitude, to_longitude):
    """The same for whole columns."""
    from_latitude, to_latitude = numpy.radians(from_latitude), numpy.radians(to_latitude)
    across = numpy.radians(to_longitude - from_longitude)
    half_chord = (
        numpy.sin((to_latitude - from_latitude) / 2) ** 2
        + numpy.cos(from_latitude) * numpy.cos(to_latitude) * numpy.sin(across / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * numpy.arcsin(numpy.sqrt(half_chord))


def distances_by_rows(flights, rows):
    """The slow way: a pandas Series is made for each flight."""
    distances = []
    for _, row in rows:
        distances.append(
            haversine(
                row["from_latitude"], row["from_longitude"], row["to_latitude"], row["to_longitude"]
            )
        )
    return pandas.Series(distances, index=flights.index)


def distances_by_columns(flights):
    """The fast way: one numpy operation for all flights at a time."""
    return haversine_columns(*(flights[column] for column in COLUMNS))


class Stopwatch:
    """Goes through an iterator and adds up the CPU time that its steps take."""

    def __init__(self, iterator):
        self.iterator = iterator
        self.seconds = 0.0

    def __iter__(self):
        return self

    def __next__(self, clock=time.process_time):
        start = clock()
        try:
            return next(self.iterator)
        finally:
            self.seconds += clock() - start


def timed(name, work, *arguments):
    start = time.perf_counter()
    distances = work(*arguments)
    seconds = time.perf_counter() - start
    print(f"{name:8} {seconds:9.3f} s   {distances.sum():.6e} km in all", flush=True)
    return distances, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flights", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["rows", "columns"])
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()

    flights = make_flights(options.flights)
    print(f"{options.flights} flights", flush=True)
    rows = flights.iterrows()
    if options.measure:
        rows = Stopwatch(rows)
    if options.only != "columns":
        slow, slow_seconds = timed("rows", distances_by_rows, flights, rows)
    if options.only != "rows":
        fast, fast_seconds = timed("columns", distances_by_columns, flights)
    if options.only is None:
        if not numpy.allclose(slow, fast, rtol=1e-9, atol=1e-6):
            raise SystemExit("the two ways differ")
        print(f"the same distances, {slow_seconds / fast_seconds:.0f} times as fast", flush=True)
    if options.measure:
        total = time.process_time()
        print(json.dumps({"iterrows_s": rows.seconds, "total_s": total, "share": rows.seconds / total}), flush=True)


if __name__ == "__main__":
    main()
