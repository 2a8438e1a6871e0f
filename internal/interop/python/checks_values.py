"""Values that cross by copy: echo returns what it was given, equal in type and in structure."""

import datetime
import decimal

from checking import check, same

BIG = 2**447


@check("values")
def echo_scalars(s):
    for value in [None, True, False, 0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, BIG, -BIG]:
        same((yield s.call("echo", value)), value)
    for value in [0.0, 1.5, -2.25, 1e300, float("inf"), float("-inf"), float("nan")]:
        same((yield s.call("echo", value)), value)


@check("values")
def echo_strings(s):
    for value in [b"", b"\x00\xff", b"list", b"None", "", "list", "gr\u00fc\u00df dich", "\U0001f40d", "x" * 100000]:
        same((yield s.call("echo", value)), value)


@check("values")
def echo_containers(s):
    for value in [[], (), {}, [1, [2, [3]]], (1, ("a", b"b")), {"a": 1, b"a": 2, 3: [None]}, {(1, 2): {"x": ()}}]:
        same((yield s.call("echo", value)), value)


@check("values")
def echo_sets(s):
    for value in [set(), frozenset(), {1, 2}, frozenset(["a", b"a"])]:
        got = yield s.call("echo", value)
        assert type(got) is type(value) and got == value, got


@check("values")
def echo_times(s):
    for value in [
        datetime.datetime(2024, 2, 29, 23, 59, 58, 123456),
        datetime.date(1970, 1, 1),
        datetime.time(1, 2, 3, 4),
        datetime.timedelta(-3, 7, 9),
        decimal.Decimal("-12.3400"),
    ]:
        same((yield s.call("echo", value)), value)


@check("values")
def echo_shared(s):
    inner = [1, "two"]
    got = yield s.call("echo", [inner, inner, {"again": inner}])
    assert got[0] is got[1] and got[1] is got[2]["again"], got
    same(got[0], inner)


@check("values")
def echo_circular(s):
    ring = [1]
    ring.append(ring)
    got = yield s.call("echo", ring)
    assert got[1] is got and got[0] == 1
    table = {"name": "table"}
    table["self"] = table
    got = yield s.call("echo", table)
    assert got["self"] is got and got["name"] == "table"


@check("values")
def echo_large(s):
    rows = [[i, str(i), {"i": i}] for i in range(3000)]
    same((yield s.call("echo", rows)), rows)
    blob = bytes(range(256)) * 2048
    same((yield s.call("echo", blob)), blob)
