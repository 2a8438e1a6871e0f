"""Objects that one client gives to another, through a server that was started with -relaying."""

import gc

from checking import Session, check, eventually, same, trapped
from checks_references import Greeter
from twisted.internet import defer
from twisted.spread import jelly, pb


class Empty(pb.Error):
    """A failure that the server has never heard of."""


class Shop(pb.Referenceable):
    """What one client leaves and the other calls."""

    def __init__(self):
        self.asked = []

    def remote_ask(self, *args, **kw):
        self.asked.append((args, kw))
        return [list(args), kw]

    def remote_number(self, n):
        self.asked.append(n)
        return n

    def remote_fail(self, kind):
        if kind == "typed":
            raise Empty("sold out")
        raise ValueError("no such kind")

    def remote_isMe(self, other):
        return other is self

    def remote_give(self):
        return Greeter()

    def remote_call(self, other, name):
        return other.callRemote("greet", name)

    def remote_never(self):
        return defer.Deferred()


class Duck(pb.Copyable, pb.RemoteCopy):
    """A copy of a class that only the clients know."""


pb.setUnjellyableForClass(Duck, Duck)


class Goose(pb.Copyable):
    """A copy of a class that nobody knows but its sender."""


@defer.inlineCallbacks
def other(s):
    """Another connection to the same server."""
    session = Session(s.url)
    yield session.connect()
    return session


@check("relaying")
def relayed_object_is_called(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    got = yield shop.callRemote("ask", 1, "zwei", b"drei", None, 2.5, [1, (2, 3)], k={"a": -(2**70)})
    same(got, [[1, "zwei", b"drei", None, 2.5, [1, (2, 3)]], {"k": {"a": -(2**70)}}])
    yield b.close()


@check("relaying")
def relayed_calls_keep_their_order(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    answers = yield defer.gatherResults([shop.callRemote("number", n) for n in range(2000)])
    same(answers, list(range(2000)))
    same(mine.asked, list(range(2000)))
    yield b.close()


@check("relaying")
def relayed_object_is_one(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", [mine, {"again": mine}])
    got = yield b.call("fetch", "shop")
    again = yield b.call("fetch", "shop")
    assert got[0] == got[1]["again"] == again[0], got
    same(got[0].luid, again[0].luid)
    yield b.close()


@check("relaying")
def relayed_object_comes_home(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    assert (yield shop.callRemote("isMe", shop)) is True
    assert (yield s.call("fetch", "shop")) is mine
    yield b.call("leave", "back", {"shop": [shop]})
    assert (yield s.call("fetch", "back"))["shop"][0] is mine
    greeter = Greeter()
    same((yield shop.callRemote("call", greeter, "Moe")), "hello Moe!")
    got = yield shop.callRemote("ask", greeter)
    assert got[0][0] is greeter
    yield b.close()


@check("relaying")
def relayed_answers_have_objects(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    greeter = yield shop.callRemote("give")
    same((yield greeter.callRemote("greet", "Larry")), "hello Larry!")
    yield b.close()


@check("relaying")
def relayed_failures_keep_their_type(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    for kind, name in [("typed", "checks_relaying.Empty"), ("plain", "builtins.ValueError")]:
        caught = yield trapped(shop.callRemote("fail", kind), name)
        assert caught.message in ("sold out", "no such kind"), caught.message
    yield trapped(shop.callRemote("missing"), "twisted.spread.flavors.NoSuchMethod")
    yield b.close()


@check("relaying")
def unregistered_copies_pass(s):
    b, mine = (yield other(s)), Shop()
    duck = Duck()
    duck.name, duck.friends = "Donald", [mine, {"loop": None}]
    duck.friends[1]["loop"] = duck.friends
    yield s.call("leave", "duck", duck)
    got = yield b.call("fetch", "duck")
    assert isinstance(got, Duck) and got.name == "Donald", got
    assert got.friends[1]["loop"] is got.friends
    same((yield got.friends[0].callRemote("number", 7)), 7)
    shop = got.friends[0]
    back = yield shop.callRemote("ask", got)
    assert isinstance(back[0][0], Duck) and back[0][0].name == "Donald"
    yield b.close()


@check("relaying")
def refused_copies_harm_nobody(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    goose = Goose()
    goose.name = "Gus"
    yield trapped(shop.callRemote("ask", goose), jelly.InsecureJelly)
    yield trapped(b.call("echo", goose), jelly.InsecureJelly)
    same((yield shop.callRemote("number", 1)), 1)
    same((yield b.call("add", 1, 2)), 3)
    yield b.close()


@check("relaying")
def relayed_counts_return_to_zero(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", [mine] * 3)
    got = yield b.call("fetch", "shop")
    yield got[0].callRemote("isMe", got[1])
    before = (yield b.call("stats"))["exports"]
    # A key that is given anew lets go of the server's hold, and of no other.
    yield s.call("leave", "shop", None)
    same((yield got[0].callRemote("number", 5)), 5)
    assert s.exported(mine) >= 1
    del got
    gc.collect()
    yield eventually(lambda: s.call("stats").addCallback(lambda _: s.exported(mine) == 0), "the owner is told")
    yield eventually(
        lambda: b.call("stats").addCallback(lambda stats: stats["exports"] == before - 1), "the export is gone"
    )
    yield b.close()


@check("relaying")
def relayed_objects_end_with_their_user(s):
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    yield s.call("leave", "shop", None)
    same((yield shop.callRemote("number", 5)), 5)
    assert s.exported(mine) >= 1
    yield b.close()
    yield eventually(lambda: s.call("stats").addCallback(lambda _: s.exported(mine) == 0), "the owner is told")


@check("relaying")
def relayed_objects_end_with_their_owner(s):
    b, mine = (yield other(s)), Shop()
    yield b.call("leave", "shop", mine)
    shop = yield s.call("fetch", "shop")
    under_way = shop.callRemote("never")
    same((yield shop.callRemote("number", 5)), 5)
    lost = trapped(under_way, "twisted.spread.pb.PBConnectionLost")
    yield b.close()
    yield lost
    for _ in range(2):
        yield trapped(shop.callRemote("number", 5), "twisted.spread.pb.DeadReferenceError")
    # What was left is still there, and as dead.
    again = yield s.call("fetch", "shop")
    yield trapped(again.callRemote("number", 5), "twisted.spread.pb.DeadReferenceError")
    same((yield s.call("add", 1, 2)), 3)


@check("relaying")
def many_objects_are_relayed(s):
    b = yield other(s)
    mine = [Shop() for _ in range(500)]
    yield s.call("leave", "shops", mine)
    shops = yield b.call("fetch", "shops")
    same(len({shop.luid for shop in shops}), 500)
    answers = yield defer.gatherResults([shop.callRemote("number", n) for n, shop in enumerate(shops)])
    same(answers, list(range(500)))
    same([shop.asked for shop in mine], [[n] for n in range(500)])
    yield b.call("leave", "shops", shops)
    back = yield s.call("fetch", "shops")
    assert all(got is want for got, want in zip(back, mine))
    yield s.call("leave", "shops", None)
    yield b.close()


@check("relaying")
def forged_numbers_reach_nothing(s):
    """A client can call what it was given, and cannot have another client take a number for an object."""
    b, mine = (yield other(s)), Shop()
    yield s.call("leave", "shop", mine)
    shop = yield b.call("fetch", "shop")
    c = yield other(s)
    for luid in [shop.luid, shop.luid + 4, 1, 3, 2**40 + 1]:
        forged = pb.RemoteReference(None, c.broker, luid, 0)
        yield trapped(forged.callRemote("number", 5), "twisted.spread.pb.Error")
    same(mine.asked, [])

    class Forged(pb.Jellyable):
        def __init__(self, *elements):
            self.elements = list(elements)

        def jellyFor(self, jellier):
            return self.elements

    for elements in [
        (b"checks_relaying.Duck", shop.luid),
        (b"checks_relaying.Duck", b"root"),
        (b"checks_relaying.Duck", [b"list"], 1),
    ]:
        yield trapped(shop.callRemote("ask", Forged(*elements)), jelly.InsecureJelly)
        yield trapped(s.call("leave", "forged", Forged(*elements)), jelly.InsecureJelly)
    # What is ignored is not passed on.
    same((yield shop.callRemote("ask", Forged(b"None", [b"remote", 5]))), [[None], {}])
    yield c.close()
    yield b.close()
