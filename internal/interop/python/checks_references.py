"""References in both directions, and what becomes of them."""

import gc

from checking import check, eventually, same
from twisted.internet import defer
from twisted.spread import pb


class Greeter(pb.Referenceable):
    def __init__(self):
        self.heard = []

    def remote_greet(self, name, mark="!"):
        self.heard.append(name)
        return "hello " + name + mark

    def remote_pair(self, other):
        return [self, other]


class Bouncer(pb.Referenceable):
    """Calls back whoever called it, until the number is used up."""

    def __init__(self, root):
        self.root = root

    def remote_bounce(self, n):
        if n == 0:
            return "bottom"
        return self.root.callRemote("callback", self, "bounce", [n - 1])


@check("references")
def held_object_comes_home(s):
    mine = Greeter()
    yield s.call("hold", "mine", mine)
    assert (yield s.call("echo", mine)) is mine
    got = yield s.call("echo", [mine, {"again": mine}])
    assert got[0] is mine and got[1]["again"] is mine
    yield s.call("release", "mine")


@check("home")
def unheld_object_comes_home(s):
    """Not against stock: its decref for the argument overtakes the answer that mentions it, so None comes home."""
    mine = Greeter()
    assert (yield s.call("echo", mine)) is mine
    got = yield s.call("echo", [mine, {"again": mine}])
    assert got[0] is mine and got[1]["again"] is mine


@check("references")
def same_reference_is_equal(s):
    counter = yield s.call("counter")
    again = yield counter.callRemote("self")
    assert again == counter and hash(again) == hash(counter)
    other = yield s.call("counter")
    assert other != counter


@check("references")
def reference_goes_back(s):
    """What the server gave us is its own object again when we hand it back."""
    counter = yield s.call("counter")
    yield counter.callRemote("incr", 7)
    yield s.call("hold", "counter", counter)
    again = yield s.call("held", "counter")
    assert again == counter
    same((yield again.callRemote("value")), 7)
    yield s.call("release", "counter")


@check("references")
def callback(s):
    mine = Greeter()
    same((yield s.call("callback", mine, "greet", ["Moe"])), "hello Moe!")
    same(mine.heard, ["Moe"])


@check("references")
def callback_with_references(s):
    mine, other = Greeter(), Greeter()
    got = yield s.call("callback", mine, "pair", [other])
    assert got[0] is mine and got[1] is other, got


@check("references")
def nested_callbacks(s):
    same((yield s.call("callback", Bouncer(s.root), "bounce", [30])), "bottom")


@check("references")
def many_callbacks_at_once(s):
    mine = Greeter()
    calls = [s.call("callback", mine, "greet", [str(i)]) for i in range(500)]
    same((yield defer.gatherResults(calls)), [f"hello {i}!" for i in range(500)])
    same(mine.heard, [str(i) for i in range(500)])


@check("references")
def release_sends_decref(s):
    mine = Greeter()
    yield s.call("hold", "mine", mine)
    assert s.exported(mine) >= 1
    assert (yield s.call("held", "mine")) is mine
    yield s.call("release", "mine")
    yield eventually(lambda: s.call("stats").addCallback(lambda _: s.exported(mine) == 0), "the server let go")


@check("references")
def arguments_are_let_go(s):
    mine = Greeter()
    yield s.call("echo", [mine] * 5)
    yield s.call("callback", mine, "greet", ["Moe"])
    yield eventually(lambda: s.call("stats").addCallback(lambda _: s.exported(mine) == 0), "the server let go")


@check("references")
def dropped_references_are_freed(s):
    mine = yield defer.gatherResults([s.call("counter") for _ in range(50)])
    yield defer.gatherResults([counter.callRemote("incr") for counter in mine])
    many = yield s.call("counters")
    assert many >= 50, many
    del mine
    gc.collect()
    # A server that collects garbage may still have its hands on the last of them.
    yield eventually(lambda: s.call("counters").addCallback(lambda n: n <= many - 49), "the counters are gone")


@check("references")
def forgotten_name_is_an_error(s):
    answer = s.call("held", "nobody")
    answer.addCallbacks(lambda value: "answered", lambda failure: "failed")
    same((yield answer), "failed")
