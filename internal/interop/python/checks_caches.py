"""Copies, caches and pages."""

from checking import check, eventually, same, trapped
from conformance import Point, Pond
from twisted.internet import defer
from twisted.spread import pb, util
from twisted.spread.jelly import InsecureJelly


@check("copies")
def point_comes_as_a_copy(s):
    p = yield s.call("point", 3, "four")
    assert isinstance(p, Point)
    same([p.x, p.y], [3, "four"])


@check("copies")
def point_goes_as_a_copy(s):
    same((yield s.call("takePoint", Point(1.5, None))), [1.5, None])


@check("copies")
def other_class_is_refused(s):
    class Other(pb.Copyable):
        pass

    yield trapped(s.call("takePoint", Other()), InsecureJelly)


@check("caches")
def pond_is_followed(s):
    pond = yield s.call("pond", "followed", ["a"])
    same(pond.items, ["a"])
    yield s.call("pondAdd", "followed", "b")
    same(pond.items, ["a", "b"])
    yield s.call("pondRemove", "followed", "a")
    same(pond.items, ["b"])


@check("caches")
def same_pond_is_one_cache(s):
    first = yield s.call("pond", "shared", [1])
    second = yield s.call("pond", "shared", [])
    assert first.__dict__ is second.__dict__
    same((yield s.call("pondObservers", "shared")), 1)


@check("caches")
def dropped_pond_stops_observing(s):
    pond = yield s.call("pond", "dropped", [])
    same((yield s.call("pondObservers", "dropped")), 1)
    del pond
    yield eventually(
        lambda: s.call("pondObservers", "dropped").addCallback(lambda n: n == 0), "nobody observes it"
    )


@check("caches")
def own_pond_is_followed_by_the_server(s):
    mine = Pond(["x"])
    yield s.call("takePond", mine)
    same((yield s.call("pondState")), ["x"])
    mine.add("y")
    same((yield s.call("pondState")), ["x", "y"])
    assert (yield s.call("returnPond")) is mine
    yield s.call("ignorePond")
    yield eventually(lambda: not mine.observers, "the server stopped observing")


class Sender(pb.Referenceable):
    def remote_send(self, collector):
        util.StringPager(collector, b"z" * 100000, 8192)


@check("paging")
def pages_arrive(s):
    done = defer.Deferred()
    collector = util.CallbackPageCollector(done.callback)
    yield s.call("pages", collector, 50000, 4096)
    pages = yield done
    data = b"".join(pages)
    same(data, bytes(i % 251 for i in range(50000)))
    assert max(map(len, pages)) <= 4096


@check("paging")
def pages_are_collected(s):
    same((yield s.call("collect", Sender(), "send")), 100000)
