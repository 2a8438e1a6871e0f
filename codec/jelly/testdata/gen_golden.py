#!/usr/bin/python3
"""Makes golden.json with stock Twisted, and plays stock's part in live tests.

    gen_golden.py > golden.json    the golden vectors
    gen_golden.py --echo           frames on stdin and stdout, each a length (4 bytes,
                                   big-endian) and Banana of profile pb: unjelly, jelly again.
                                   What stock refuses comes back as ["refused", exception, text].

golden.json has
    values   graphs that stock jellied: name, repr, and the bytes in both profiles
    inputs   expressions that nobody may send, or that stock is lenient about: the
             bytes, and what stock's unjelly makes of them: "ok" with the Banana of
             the value jellied again, or the name of the exception
Nothing here imports or imitates the Go code.
"""

import datetime
import decimal
import json
import os
import platform
import random
import struct
import sys

if os.environ.get("PYTHONHASHSEED") != "0":  # sets of str have the order of their hashes
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable] + sys.argv)

import twisted
from twisted.internet.testing import StringTransport
from twisted.spread import banana, jelly

D = decimal.Decimal


def peer(profile):
    p = banana.Banana(isClient=0)
    p.makeConnection(StringTransport())
    p.transport.clear()
    p.currentDialect = profile
    p.got = []
    p.expressionReceived = p.got.append
    return p


ENCODERS = {name: peer(name.encode()) for name in ("pb", "none")}


def encode(profile, sexp):
    p = ENCODERS[profile]
    p.transport.clear()
    p.sendEncoded(sexp)
    return p.transport.value()


class Thing:
    """A class of the receiver's."""

    def __init__(self, **state):
        self.__dict__.update(state)


class Other(Thing):
    pass


class Node(jelly.Jellyable, jelly.Unjellyable):
    """A class that is registered with stock."""

    def __init__(self, **state):
        self.__dict__.update(state)


for cls in (Thing, Other, Node):
    cls.__module__ = "golden"
    cls.__qualname__ = cls.__name__
jelly.setUnjellyableForClass("golden.Node", Node)


def scalars():
    yield "none", None
    yield "true", True
    yield "false", False
    for n in (0, 1, -1, 5, 127, 128, 255, 256, 16383, 16384, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**53, 2**63 - 1,
              2**63, 2**64 - 1, 2**64, 10**30, 2**447, 2**448 - 1):
        yield "int %d" % n, n
        yield "int -%d" % n, -n
    for f in (0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"), 2.0**53):
        yield "float %r" % f, f
    for s in ("", "a", "hello", "list", "None", "grüße", "日本語", "\U0001f600", "\0", "a\nb", "x" * 127, "x" * 128, "y" * 5000):
        yield "str %s" % ascii(s[:12]) + ("*%d" % len(s) if len(s) > 12 else ""), s
    for s in (b"", b"a", b"hello", b"list", b"tuple", b"remote", b"not_logged_in", b"\0\xff\x80", b"z" * 127, b"z" * 128, b"w" * 5000):
        yield "bytes %s" % ascii(s[:14]) + ("*%d" % len(s) if len(s) > 14 else ""), s
    for word in sorted(banana.Banana.outgoingVocabulary):
        yield "word %s" % word.decode(), word
        yield "word %s as str" % word.decode(), word.decode()


def calendar():
    dt, td = datetime.datetime, datetime.timedelta
    for x in (dt(2000, 1, 2), dt(1, 1, 1), dt(9999, 12, 31, 23, 59, 59, 999999), dt(1970, 1, 1, 0, 0, 0, 1),
              dt(2024, 2, 29, 12, 30, 45, 123456), dt(1969, 12, 31, 23, 59, 59)):
        yield "datetime %s" % x, x
    for x in (datetime.date(2000, 1, 2), datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(2024, 2, 29)):
        yield "date %s" % x, x
    for x in (datetime.time(), datetime.time(23, 59, 59, 999999), datetime.time(1, 2), datetime.time(0, 0, 0, 1)):
        yield "time %s" % x, x
    for x in (td(0), td(1), td(-1), td(microseconds=-1), td(seconds=86399, microseconds=999999), td(hours=1),
              td(days=106751, seconds=85636, microseconds=854775), td(days=106752), td(days=-106753),
              td.max, td.min, td(days=400 * 365)):
        yield "timedelta %r" % x, x
    for x in ("0", "1", "-1", "1.5", "-12.50", "0.001", "1e10", "1E+1000000000", "-7E-999999999", "123456789012345678901234567890",
              "0.00", "100", "1e-30", "9" * 130):
        yield "decimal %s" % x[:40], D(x)


def containers():
    yield "empty list", []
    yield "empty tuple", ()
    yield "empty dict", {}
    yield "empty set", set()
    yield "empty frozenset", frozenset()
    yield "list of ints", [1, 2, 3]
    yield "two ints", (1, 2)
    yield "mixed list", [None, True, 1, 2.5, "s", b"b", 2**70]
    yield "nested lists", [[1], [[2]], [[[3]]]]
    yield "nested tuples", (((1,), 2), 3)
    yield "dict of str", {"a": 1, "b": 2}
    yield "dict in order", {"z": 1, "a": 2, "m": 3}
    yield "dict of bytes", {b"a": 1, b"list": 2}
    yield "dict of all keys", {None: 0, True: 1, 2: 2, 2.5: 3, "s": 4, b"b": 5, (1, "t"): 6, 2**70: 7, frozenset([1]): 8}
    yield "dict with dates as keys", {datetime.date(2000, 1, 1): 1, datetime.timedelta(1): 2, D("1.5"): 3}
    yield "nested dict", {"a": {"b": {"c": [1, (2, {"d": None})]}}}
    yield "ten keys", {"key%d" % i: i for i in range(10)}
    yield "set of ints", {1, 2, 3}
    yield "set of str", {"a", "b", "c", "d"}
    yield "set of tuples", {(1, 2), (3, (4, 5))}
    yield "frozenset of frozensets", frozenset([frozenset([1, 2]), frozenset()])
    yield "list of 1000", list(range(1000))
    yield "list of 127", [0] * 127
    yield "list of 126", [0] * 126
    yield "all the types", [None, True, False, 0, -1, 2**40, 1.5, "s", b"b", [], (), {}, set(), frozenset(),
                            datetime.datetime(2000, 1, 1), datetime.date(2000, 1, 1), datetime.time(1), datetime.timedelta(1), D(1)]
    deep = []
    for _ in range(100):
        deep = [deep]
    yield "100 lists deep", deep
    deep = {}
    for _ in range(60):
        deep = {"k": deep}
    yield "60 dicts deep", deep
    yield "kinds of Buildbot", [[{"stdout": "x"}, 0], [{"rc": 0}, 0]]


def shared():
    x = [1]
    yield "list twice", [x, x]
    yield "list three times", [x, x, x]
    yield "list twice in a tuple", (x, x)
    y = {"k": "v"}
    yield "dict twice", [y, y]
    t = tuple([1, 2])
    yield "tuple twice", [t, t]
    s = {1}
    yield "set twice", [s, s]
    f = frozenset([1, 2])
    yield "frozenset twice", (f, f)
    yield "empty list twice", (lambda e: [e, e])([])
    yield "empty dict twice", (lambda e: [e, e])({})
    yield "empty tuple twice", [(), ()]
    yield "order of second meetings", [x, y, t, y, t, x]
    yield "shared inside shared", (lambda a: (lambda b: [b, a, b])([a, a]))([7])
    yield "shared value in dict", {"a": x, "b": x}
    yield "shared tuple as key and value", {t: 1, "v": t}
    yield "equal but not shared", [[1], [1], (lambda: [1])()]
    yield "str and bytes never shared", ["same" * 10] * 2 + [b"same" * 10] * 2 + [2**70] * 2
    l = []
    l.append(l)
    yield "list in itself", l
    l = [1, [2]]
    l[1].append(l)
    yield "list in a list in itself", l
    d = {}
    d["me"] = d
    yield "dict in itself", d
    l = []
    t = (l, 1)
    l.append(t)
    yield "tuple in itself through a list", t
    l = []
    t = (l, 1)
    l.append(t)
    yield "list in itself through a tuple", l
    a, b = [], []
    a.append(b)
    b.append(a)
    yield "two lists in each other", [a, b]
    a, b = {"n": 1}, {"n": 2}
    a["next"], b["next"], a["prev"], b["prev"] = b, a, b, a
    yield "ring of dicts", a
    ring = [[i] for i in range(50)]
    for i, node in enumerate(ring):
        node.append(ring[(i + 1) % 50])
    yield "ring of 50", ring
    levels = []
    for _ in range(60):
        levels = [levels, levels]
    yield "2^60 leaves", levels
    levels = ()
    for _ in range(60):
        levels = (levels, levels)
    yield "2^60 leaves in tuples", levels
    grid = [[None] * 3 for _ in range(10)]
    for i, row in enumerate(grid):
        row[0], row[1], row[2] = grid[i - 1], grid[(i + 1) % 10], grid
    yield "grid", grid
    many = [[i] for i in range(200)]
    yield "more than 127 references", many + many[::-1]


def instances():
    yield "instance", Thing(x=1, y=2)
    yield "instance without state", Thing()
    yield "instance in a list", [Thing(a=[1]), Other(b=(2,))]
    t = Thing(n=1)
    yield "instance twice", [t, t]
    t = Thing()
    t.me = t
    yield "instance in itself", t
    a, b = Thing(), Other()
    a.other, b.other = b, a
    yield "two instances in each other", (a, b)
    t = Thing(x=1)
    yield "instance as key", {t: 1, "again": t}
    t = Thing(x=1)
    s = {t}
    t.home = s
    yield "set in itself through an instance", s
    d = {}
    t = Thing(home=d)
    d[(t, 1)] = t
    yield "dict in itself through a key", d
    n = Node(x=1)
    yield "registered instance", n
    yield "registered instance twice", [n, n, Node()]
    l = [Node(i=i) for i in range(5)]
    for i, n in enumerate(l):
        n.next = l[(i + 1) % 5]
    yield "ring of registered instances", l
    yield "class", Thing
    yield "builtin class", ValueError
    yield "list of classes", [Thing, Thing, Other]


def graphs():
    """Random graphs with sharing and cycles."""
    for seed in range(120):
        rng = random.Random(seed)
        pool = []

        def leaf():
            return rng.choice([None, True, False, rng.randrange(-10, 10), rng.randrange(-2**70, 2**70), rng.random(),
                               "s%d" % rng.randrange(20), b"b%d" % rng.randrange(20), "list", b"dictionary",
                               datetime.date(2000, 1, 1 + rng.randrange(28)), D(rng.randrange(1000)) / 8])

        def key():
            if rng.random() < 0.2:
                return tuple(rng.randrange(5) for _ in range(2))
            return rng.choice([rng.randrange(100), "k%d" % rng.randrange(30), b"k%d" % rng.randrange(30)])

        def node(depth):
            r = rng.random()
            if pool and r < 0.25:
                return rng.choice(pool)
            if depth == 0 or r < 0.45:
                return leaf()
            n = rng.randrange(5)
            if r < 0.6:
                x = []
                pool.append(x)
                for _ in range(n):
                    x.append(node(depth - 1))
            elif r < 0.75:
                x = {}
                pool.append(x)
                for _ in range(n):
                    x[key()] = node(depth - 1)
            elif r < 0.9:
                x = tuple([node(depth - 1) for _ in range(n)])
                pool.append(x)
            elif r < 0.95:
                x = set(rng.randrange(50) for _ in range(n))
                pool.append(x)
            else:
                x = Thing()
                pool.append(x)
                for i in range(n):
                    setattr(x, "a%d" % i, node(depth - 1))
            return x

        yield "graph %d" % seed, [node(6) for _ in range(3)]


def inputs():
    u = lambda s: [b"unicode", s]
    yield "bare int", 5
    yield "bare bytes", b"x"
    yield "bare float", 1.5
    yield "empty list", []
    yield "type is an int", [5, 1]
    yield "type is a list", [[b"list"], 1]
    yield "type is a float", [1.5]
    yield "unknown type", [b"nonsense", 1]
    yield "unknown class", [b"no.such.Class", [b"dictionary"]]
    for name in (b"string", b"str", b"int", b"bool", b"float", b"long", b"long_int", b"dict", b"NoneType", b"copy", b"cache", b"message"):
        yield "type %s" % name.decode(), [name, b"1"]
    for name in (b"class", b"module", b"function", b"method", b"instance"):
        yield "type %s" % name.decode(), [name, b"golden.Thing", [b"None"], [b"None"]]
    yield "None with more", [b"None", 1, 2]
    yield "unicode without text", [b"unicode"]
    yield "unicode of an int", [b"unicode", 5]
    yield "unicode of a list", [b"unicode", u(b"x")]
    yield "unicode with more", [b"unicode", b"x", b"y"]
    for name, text in (("bad UTF-8", b"\xff"), ("overlong", b"\xc0\x80"), ("surrogate", b"\xed\xa0\x80"), ("cut", b"\xe2\x82"),
                       ("beyond", b"\xf4\x90\x80\x80"), ("word", b"list")):
        yield "unicode %s" % name, u(text)
    yield "boolean without value", [b"boolean"]
    yield "boolean maybe", [b"boolean", b"maybe"]
    yield "boolean True", [b"boolean", b"True"]
    yield "boolean 1", [b"boolean", 1]
    yield "boolean with more", [b"boolean", b"true", b"false"]
    yield "dictionary of ints", [b"dictionary", 1]
    yield "dictionary of singles", [b"dictionary", [1]]
    yield "dictionary of triples", [b"dictionary", [1, 2, 3]]
    yield "dictionary with an empty pair", [b"dictionary", []]
    yield "dictionary with a key twice", [b"dictionary", [1, 2], [1, 3]]
    yield "list as key", [b"dictionary", [[b"list"], 1]]
    yield "dictionary as key", [b"dictionary", [[b"dictionary"], 1]]
    yield "set as key", [b"dictionary", [[b"set"], 1]]
    yield "frozenset as key", [b"dictionary", [[b"frozenset"], 1]]
    yield "tuple as key", [b"dictionary", [[b"tuple", 1, u(b"x")], 1]]
    yield "tuple with a list as key", [b"dictionary", [[b"tuple", 1, [b"list"]], 1]]
    yield "tuple with a tuple with a list as key", [b"dictionary", [[b"tuple", [b"tuple", [b"list"]]], 1]]
    yield "None as key", [b"dictionary", [[b"None"], 1]]
    yield "date as key", [b"dictionary", [[b"date", b"2000 1 1"], 1]]
    yield "list in a set", [b"set", [b"list"]]
    yield "set in a set", [b"set", [b"set"]]
    yield "dictionary in a frozenset", [b"frozenset", [b"dictionary"]]
    yield "tuple with a list in a set", [b"set", [b"tuple", [b"list"]]]
    yield "frozenset in a set", [b"set", [b"frozenset", 1]]
    yield "member twice", [b"set", 1, 1]
    yield "shared list as key", [b"list", [b"reference", 1, [b"list"]], [b"dictionary", [[b"dereference", 1], 1]]]
    yield "shared tuple as key", [b"list", [b"reference", 1, [b"tuple", 1]], [b"dictionary", [[b"dereference", 1], 1]]]
    yield "list shared as key", [b"dictionary", [[b"reference", 1, [b"list"]], 1]]
    for name, value in (("", b""), ("one", b"1"), ("two", b"1 2"), ("three", b"1 2 3"), ("four", b"1 2 3 4"), ("seven", b"2000 1 2 3 4 5 6"),
                        ("eight", b"2000 1 2 3 4 5 6 7"), ("words", b"a b c"), ("floats", b"1.0 2 3"), ("signs", b"+2000 +1 2"),
                        ("negative", b"-1 1 1"), ("zero", b"0 0 0"), ("month 13", b"2000 13 1"), ("day 30 of February", b"2000 2 30"),
                        ("hour 24", b"2000 1 1 24"), ("year 10000", b"10000 1 1"), ("tabs", b"\t2000\n1\x0c1 "), ("underscores", b"2_000 1 1"),
                        ("double underscore", b"2__000 1 1"), ("end in underscore", b"2000_ 1 1"), ("begin with underscore", b"_2000 1 1"),
                        ("leading zeros", b"02000 01 01"), ("huge", b"99999999999999999999 1 1"),
                        ("big days", b"999999999 0 0"), ("too many days", b"1000000000 0 0"), ("borrowing", b"0 -1 -1"),
                        ("carrying", b"1 86400 1000000"), ("sign alone", b"+ 1 1"), ("two signs", b"--1 1 1"), ("not ASCII", "２ 1 1".encode())):
        for kind in (b"datetime", b"date", b"time", b"timedelta"):
            yield "%s %s" % (kind.decode(), name), [kind, value]
    yield "date of an int", [b"date", 5]
    yield "date without text", [b"date"]
    yield "decimal without exponent", [b"decimal", 1]
    yield "decimal of bytes", [b"decimal", b"1", 0]
    yield "decimal with an exponent of bytes", [b"decimal", 1, b"F"]
    yield "decimal with a float exponent", [b"decimal", 1, 1.0]
    yield "decimal", [b"decimal", -125, -2]
    yield "decimal with more", [b"decimal", 5, 0, 9]
    yield "decimal with a huge exponent", [b"decimal", 1, 10**9]
    yield "decimal beyond 64 bits", [b"decimal", 1, 2**70]
    yield "reference without value", [b"reference", 1]
    yield "reference without anything", [b"reference"]
    yield "reference with more", [b"reference", 1, [b"list"], 5]
    yield "reference of an int", [b"list", [b"reference", 1, 5], [b"dereference", 1]]
    yield "reference of a str", [b"list", [b"reference", 1, u(b"x")], [b"dereference", 1]]
    yield "reference not used", [b"reference", 1, [b"list"]]
    yield "reference 0", [b"list", [b"reference", 0, [b"list"]], [b"dereference", 0]]
    yield "reference -1", [b"list", [b"reference", -1, [b"list"]], [b"dereference", -1]]
    yield "reference 2^40", [b"list", [b"reference", 2**40, [b"list"]], [b"dereference", 2**40]]
    yield "one id twice", [b"list", [b"reference", 1, [b"list"]], [b"reference", 1, [b"list"]]]
    yield "one id within itself", [b"reference", 1, [b"list", [b"reference", 1, [b"list"]]]]
    yield "reference of a reference", [b"list", [b"reference", 1, [b"reference", 2, [b"list"]]], [b"dereference", 1], [b"dereference", 2]]
    yield "reference of a dereference", [b"list", [b"reference", 1, [b"list"]], [b"reference", 2, [b"dereference", 1]], [b"dereference", 2]]
    yield "dereference first", [b"list", [b"dereference", 1], [b"reference", 1, [b"list", 5]]]
    yield "dereference first, many times", [b"list"] + [[b"dereference", 1]] * 3 + [[b"reference", 1, [b"list", 5]], [b"dereference", 1]]
    yield "dereference first in a tuple", [b"list", [b"tuple", [b"dereference", 1], 2], [b"reference", 1, [b"list", 5]]]
    yield "dereference first in a value", [b"list", [b"dictionary", [1, [b"dereference", 1]]], [b"reference", 1, [b"list", 5]]]
    yield "dereference first of an int", [b"list", [b"dereference", 1], [b"reference", 1, 5]]
    yield "dereference first as key", [b"list", [b"dictionary", [[b"dereference", 1], 1]], [b"reference", 1, [b"tuple"]]]
    yield "dereference without id", [b"dereference"]
    yield "tuple in itself", [b"reference", 1, [b"tuple", [b"list", [b"dereference", 1]]]]
    yield "list in itself", [b"reference", 1, [b"list", [b"dereference", 1]]]
    yield "persistent", [b"persistent", b"id"]
    yield "persistent without id", [b"persistent"]
    yield "unpersistable", [b"unpersistable", b"reason"]
    yield "unpersistable without reason", [b"unpersistable"]
    yield "registered instance", [b"golden.Node", [b"dictionary", [u(b"x"), 1]]]
    yield "registered instance without state", [b"golden.Node"]
    yield "registered instance with more", [b"golden.Node", [b"dictionary"], 5]
    yield "words spelled out", [b"list", [b"tuple", 1]]


def plain(value):
    """A value in which stock's classes for what is not resolved do not show."""
    return jelly.jelly(value)


def verdict(sexp):
    sys.setrecursionlimit(3000)
    try:
        value = jelly.unjelly(sexp, jelly.globalSecurity)
        if isinstance(value, jelly.NotKnown):
            return {"error": "NotKnown"}
        if isinstance(value, jelly.Unpersistable):
            return {"ok": ""}
        return {"ok": encode("pb", plain(value)).hex()}
    except Exception as e:
        return {"error": type(e).__name__}


def golden():
    values, questions = [], []
    for group in (scalars, calendar, containers, shared, instances, graphs):
        for name, value in group():
            sexp = jelly.jelly(value)
            text = ascii(value) if group in (scalars, calendar, containers) else ""
            values.append({"name": name, "group": group.__name__, "python": text if len(text) < 300 else "",
                           "pb": encode("pb", sexp).hex(), "none": encode("none", sexp).hex()})
    for name, sexp in inputs():
        questions.append({"name": name, "hex": encode("pb", sexp).hex(), "stock": verdict(sexp)})
    return {
        "provenance": {"script": "gen_golden.py", "twisted": twisted.__version__, "python": platform.python_version()},
        "values": values,
        "inputs": questions,
    }


def echo():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.setrecursionlimit(10000)
    while True:
        head = source.read(4)
        if len(head) < 4:
            return
        p = peer(b"pb")
        p.dataReceived(source.read(struct.unpack("!I", head)[0]))
        (sexp,) = p.got
        try:
            taster = jelly.SecurityOptions()
            taster.allowInstancesOf(Thing, Other)
            value = jelly.unjelly(sexp, taster)
            out = encode("pb", jelly.jelly(value))
        except Exception as e:
            out = encode("pb", [b"refused", type(e).__name__.encode(), str(e).encode()[:200]])
        sink.write(struct.pack("!I", len(out)) + out)
        sink.flush()


if __name__ == "__main__":
    # Stock looks classes up by name.
    sys.modules["golden"] = sys.modules["__main__"]
    if sys.argv[1:] == ["--echo"]:
        echo()
    else:
        json.dump(golden(), sys.stdout, indent=0, ensure_ascii=True)
        sys.stdout.write("\n")
