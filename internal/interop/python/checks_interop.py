"""Plays through the methods of twisted-doc's pbinterop.py, which comes without a client."""

from checking import check, same
from twisted.spread import pb


class Greeter(pb.Referenceable):
    def remote_hello(self):
        return "hello, world"


@check("interop")
def plain_values(s):
    same((yield s.call("int")), 1)
    same((yield s.call("string")), "string")
    same((yield s.call("unicode")), "string")
    same((yield s.call("float")), 1.5)
    same((yield s.call("list")), [1, 2, 3])
    same((yield s.call("dict")), {1: 2})


@check("interop")
def recursive_list(s):
    ring = yield s.call("recursive")
    assert ring[0] is ring and len(ring) == 1


@check("interop")
def references(s):
    first = yield s.call("reference")
    assert (yield s.call("reference")) == first
    yield s.call("local", Greeter())
    yield s.call("self", s.root)


@check("interop")
def receives(s):
    yield s.call("receive", [1, 1.5, "hi", "hi", {1: 2}])
