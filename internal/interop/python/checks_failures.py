"""Each kind of failure, trapped by its type on this side; after each the connection still works."""

from checking import check, same, trapped
from conformance import Custom, Stranger
from twisted.spread import pb
from twisted.spread.flavors import NoSuchMethod
from twisted.spread.jelly import InsecureJelly


class Failing(pb.Referenceable):
    def remote_custom(self, text):
        raise Custom(text)

    def remote_expected(self, text):
        raise LocalError(text)


class LocalError(pb.Error):
    pass


@check("failures")
def plain_error(s):
    caught = yield trapped(s.call("fail", "error", "it broke"), Exception)
    same(caught.message, "it broke")
    assert "builtins.Exception" in caught.parents
    same((yield s.call("add", 1)), 11)


@check("failures")
def typed_error(s):
    caught = yield trapped(s.call("fail", "typed", "mine"), Custom)
    same(caught.type, "conformance.Custom")
    same(caught.message, "mine")
    for parent in ("conformance.Custom", "builtins.Exception"):
        assert parent in caught.parents, caught.parents
    assert all(isinstance(parent, str) for parent in caught.parents)


@check("failures")
def panic(s):
    yield trapped(s.call("fail", "panic", "argh"), Exception)
    same((yield s.call("add", 2)), 12)


@check("failures")
def no_such_method(s):
    caught = yield trapped(s.call("noSuchThing", 1), NoSuchMethod)
    same(caught.type, "twisted.spread.flavors.NoSuchMethod")
    yield trapped(s.call("noSuchThing", 1), AttributeError)


@check("failures")
def no_such_object(s):
    nobody = pb.RemoteReference(None, s.broker, 987654, 0)
    yield trapped(nobody.callRemote("anything"), pb.Error)
    same((yield s.call("add", 3)), 13)


@check("failures")
def insecure_jelly(s):
    """A class that the server never registered is refused, and only that call."""
    caught = yield trapped(s.call("echo", Stranger()), InsecureJelly)
    same(caught.type, "twisted.spread.jelly.InsecureJelly")
    same((yield s.call("add", 4)), 14)


@check("failures")
def wrong_number_of_arguments(s):
    yield trapped(s.call("add"), TypeError)
    yield trapped(s.call("add", 1, 2, 3), TypeError)
    yield trapped(s.call("add", 1, c=3), TypeError)
    same((yield s.call("add", 5)), 15)


@check("failures")
def counter_survives_its_panic(s):
    counter = yield s.call("counter")
    yield counter.callRemote("incr", 9)
    yield trapped(counter.callRemote("boom"), Exception)
    same((yield counter.callRemote("incr")), 1)


@check("failures")
def failure_of_a_callback_comes_through(s):
    mine = Failing()
    caught = yield trapped(s.call("callback", mine, "custom", ["inner"]), Custom)
    same(caught.message, "inner")
    caught = yield trapped(s.call("callback", mine, "nothing", []), NoSuchMethod)
    caught = yield trapped(s.call("callback", mine, "expected", ["known"]), LocalError)
    same(caught.message, "known")
