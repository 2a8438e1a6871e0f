"""The conformance contract, method by method, where the other checks leave something open."""

import decimal
import gc

from checking import check, dial, eventually, same, trapped
from conformance import Custom, Point, Pond
from twisted.internet import defer
from twisted.spread import pb, util

LIMIT = 640 * 1024


@check("types")
def integers_at_the_borders(s):
    for n in (0, 1, -1, 127, 128, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, -(2**63) - 1, 2**447, -(2**447)):
        same((yield s.call("echo", n)), n)


@check("types")
def sum_beyond_banana_fails_its_call(s):
    yield trapped(s.call("add", 2**447, 2**447), Exception)
    same((yield s.call("add", 2**446, 2**446)), 2**447)


@check("types")
def decimals_are_not_expanded(s):
    for text in ("1E+1000000000", "-12.50", "1E-1000000000", "0", "1234567890.123456789"):
        same((yield s.call("echo", decimal.Decimal(text))), decimal.Decimal(text))


@check("types")
def just_under_the_string_limit(s):
    same((yield s.call("echo", b"\xff" * LIMIT)), b"\xff" * LIMIT)
    same((yield s.call("echo", "\u00e4" * (LIMIT // 2))), "\u00e4" * (LIMIT // 2))
    same((yield s.call("echo", [b"a" * LIMIT, b"b" * LIMIT])), [b"a" * LIMIT, b"b" * LIMIT])


@check("types")
def words_of_the_vocabulary_are_data(s):
    words = [b"list", b"dictionary", b"reference", b"None", b"message", b"pb", b"version"]
    same((yield s.call("echo", words)), words)
    same((yield s.call("echo", {"list": "tuple", b"class": b"remote"})), {"list": "tuple", b"class": b"remote"})


@check("types")
def points_are_echoed(s):
    p = Point(1, ["two"])
    got = yield s.call("echo", [p, p])
    assert got[0] is got[1] and isinstance(got[0], Point)
    same([got[0].x, got[0].y], [1, ["two"]])


@check("types")
def long_list(s):
    same((yield s.call("echo", list(range(100000)))), list(range(100000)))


@check("graphs")
def shared_structure_of_2_60_leaves(s):
    x = ["leaf"]
    for _ in range(60):
        x = [x, x]
    got = yield s.call("echo", x)
    for _ in range(60):
        assert got[0] is got[1]
        got = got[0]
    same(got, ["leaf"])


@check("graphs")
def shared_structure_in_a_pond(s):
    x = ["leaf"]
    for _ in range(60):
        x = [x, x]
    yield s.call("pond", "shared leaves", [])
    yield s.call("pondAdd", "shared leaves", x)
    yield s.call("pondRemove", "shared leaves", x)
    yield trapped(s.call("pondRemove", "shared leaves", x), ValueError)


@check("graphs")
def circles_through_every_container(s):
    ring = {"list": []}
    ring["list"].append((ring, "tuple"))
    got = yield s.call("echo", ring)
    assert got["list"][0][0] is got


@check("graphs")
def circle_through_a_point(s):
    """By way of a list: a copy that is its own attribute stock sends, but leaves unfinished when it receives it."""
    p = Point(1)
    p.y = [p]
    got = yield s.call("echo", p)
    assert got.y[0] is got


@check("graphs")
def two_hundred_levels(s):
    x = []
    for _ in range(200):
        x = [x]
    got = yield s.call("echo", x)
    depth = 0
    while got:
        got, depth = got[0], depth + 1
    same(depth, 200)


@check("calls")
def pipelined_calls_are_answered_in_full(s):
    answers = yield defer.gatherResults([s.call("echo", [i, b"x" * 1000]) for i in range(2000)])
    same([a[0] for a in answers], list(range(2000)))


@check("calls")
def every_parameter_has_its_name(s):
    same((yield s.call("echo", x=5)), 5)
    same((yield s.call("later", ms=1, x="y")), "y")
    p = yield s.call("point", y=2, x=1)
    same([p.x, p.y], [1, 2])
    yield trapped(s.call("fail", kind="typed", text="named"), Custom)


@check("calls")
def slow_occupies_its_object_alone(s):
    order = []
    slow = s.call("slow", 50).addCallback(lambda v: order.append(("slow", v)))
    behind = s.call("add", 1).addCallback(lambda v: order.append(("behind", v)))
    yield defer.gatherResults([slow, behind])
    same(order, [("slow", None), ("behind", 11)])
    # One that would be over only long after this check ends with its caller.
    factory, connected = dial(s.url)
    other = yield connected
    ended = []
    slow = other.callRemote("slow", 3_600_000).addBoth(ended.append)
    behind = other.callRemote("add", 1).addBoth(ended.append)
    same((yield s.call("add", 1)), 11)
    same(ended, [])
    factory.disconnect()
    yield defer.gatherResults([slow, behind])


@check("calls")
def panics_do_not_wear_out(s):
    for _ in range(30):
        yield trapped(s.call("fail", "panic", "again"), Exception)
    same((yield s.call("add", 1)), 11)
    counter = yield s.call("counter")
    for _ in range(30):
        yield counter.callRemote("incr", 3)
        yield trapped(counter.callRemote("boom"), Exception)
    same((yield counter.callRemote("value")), 0)
    assert (yield counter.callRemote("self")) == counter


class Mirror(pb.Referenceable):
    def remote_give(self, x):
        return x


@check("references")
def counters_are_counted_exactly(s):
    # Those of the checks before may still be let go.
    yield eventually(lambda: s.call("counters").addCallback(lambda n: n == 0), "nobody holds one")
    mine = yield defer.gatherResults([s.call("counter") for _ in range(100)])
    same((yield s.call("counters")), 100)
    exports = (yield s.call("stats"))["exports"]
    del mine[50:]
    gc.collect()
    same((yield s.call("counters")), 50)
    same((yield s.call("stats"))["exports"], exports - 50)
    factory, connected = dial(s.url)
    root = yield connected
    theirs = yield defer.gatherResults([root.callRemote("counter") for _ in range(20)])
    same((yield s.call("counters")), 70)
    factory.disconnect()
    yield eventually(lambda: s.call("counters").addCallback(lambda n: n == 50), "the other's are gone")
    del theirs, mine
    gc.collect()
    same((yield s.call("counters")), 0)


@check("references")
def object_ids_are_not_used_again(s):
    seen = set()
    for _ in range(20):
        counter = yield s.call("counter")
        assert counter.luid not in seen
        seen.add(counter.luid)
        del counter
        gc.collect()


@check("references")
def released_is_let_go_at_once(s):
    mine = Mirror()
    yield s.call("hold", "k", mine)
    assert (yield s.call("held", "k")) is mine
    same(s.exported(mine), 1)
    same((yield s.call("release", "k")), None)
    same(s.exported(mine), 0)
    yield trapped(s.call("held", "k"), KeyError)
    yield trapped(s.call("release", "k"), KeyError)


@check("references")
def our_counter_comes_back_through_a_callback(s):
    mine = Mirror()
    counter = yield s.call("counter")
    again = yield s.call("callback", mine, "give", [counter])
    assert again == counter


@check("caches")
def thousand_updates_in_order(s):
    factory, connected = dial(s.url)
    other = yield connected
    mine = yield s.call("pond", "thousand", [])
    theirs = yield other.callRemote("pond", "thousand", [])
    same((yield s.call("pondObservers", "thousand")), 2)
    yield defer.gatherResults([s.call("pondAdd", "thousand", i) for i in range(1000)])
    same(mine.items, list(range(1000)))
    yield other.callRemote("add", 1)
    same(theirs.items, list(range(1000)))
    factory.disconnect()
    yield eventually(lambda: s.call("pondObservers", "thousand").addCallback(lambda n: n == 1), "one is left")


@check("caches")
def observers_are_connections(s):
    ponds = yield defer.gatherResults([s.call("pond", "counted", [1]) for _ in range(5)])
    same((yield s.call("pondObservers", "counted")), 1)
    del ponds
    gc.collect()
    same((yield s.call("pondObservers", "counted")), 0)
    again = yield s.call("pond", "counted", [])
    same(again.items, [1])
    same((yield s.call("pondObservers", "counted")), 1)


class Watched(Pond):
    """A pond that counts how often it was told that an observer has gone."""

    typeToCopy = b"conformance.Pond"
    told = 0

    def getTypeToCopyFor(self, perspective):
        return b"conformance.Pond"

    def stoppedObserving(self, perspective, observer):
        self.told += 1
        Pond.stoppedObserving(self, perspective, observer)


@check("caches")
def updates_come_before_calls(s):
    mine = Watched([])
    yield s.call("takePond", mine)
    for i in range(300):
        mine.add(i)
    same((yield s.call("pondState")), list(range(300)))
    mine.remove(7)
    same((yield s.call("pondState")), [i for i in range(300) if i != 7])
    assert (yield s.call("returnPond")) is mine
    same((yield s.call("ignorePond")), None)
    yield s.call("add", 1)
    same(mine.told, 1)
    yield trapped(s.call("pondState"), Exception)


@check("caches")
def unknown_pond_is_an_error(s):
    yield trapped(s.call("pondAdd", "nowhere", 1), Exception)
    yield trapped(s.call("pondObservers", "nowhere"), Exception)


@check("pages")
def pages_of_every_size(s):
    for size, chunk in ((0, 10), (1, 10), (10, 10), (11, 10), (300000, 1000), (2000000, LIMIT), (1300, 1)):
        done = defer.Deferred()
        collector = util.CallbackPageCollector(done.callback)
        same((yield s.call("pages", collector, size, chunk)), None)
        pages = yield done
        same(b"".join(pages), bytes(i % 251 for i in range(size)))
        same(len(pages), -(-size // chunk))


@check("pages")
def other_calls_go_on_between_pages(s):
    done = defer.Deferred()
    paging = s.call("pages", util.CallbackPageCollector(done.callback), 20_000_000, 8192)
    quick = yield s.call("add", 1)
    assert not done.called, "the pages were not paced"
    same(quick, 11)
    yield paging
    same(sum(map(len, (yield done))), 20_000_000)


@check("pages")
def several_pagings_at_once(s):
    dones = [defer.Deferred() for _ in range(10)]
    yield defer.gatherResults([s.call("pages", util.CallbackPageCollector(d.callback), 100000, 999) for d in dones])
    for d in dones:
        same(b"".join((yield d)), bytes(i % 251 for i in range(100000)))


class FileSender(pb.Referenceable):
    def remote_file(self, collector):
        import io

        util.FilePager(collector, io.BytesIO(b"f" * 3_000_000))

    def remote_nothing(self, collector):
        util.StringPager(collector, b"")

    def remote_refuse(self, collector):
        raise Custom("no pages today")


@check("pages")
def stock_pagers_are_collected(s):
    same((yield s.call("collect", FileSender(), "file")), 3_000_000)
    same((yield s.call("collect", FileSender(), "nothing")), 0)
    yield trapped(s.call("collect", FileSender(), "refuse"), Custom)
