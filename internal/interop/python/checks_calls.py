"""How calls are made: arguments, order, many at once, none to answer."""

from checking import check, eventually, same
from twisted.internet import defer


@check("calls")
def positional(s):
    same((yield s.call("add", 1, 2)), 3)
    same((yield s.call("add", 5)), 15)
    same((yield s.call("add", 2**100, -1)), 2**100 - 1)


@check("calls")
def keyword(s):
    same((yield s.call("add", 1, b=5)), 6)
    same((yield s.call("add", a=1, b=2)), 3)


@check("calls")
def positional_and_keyword(s):
    args, kw = yield s.call("kwargs", 1, "two", three=3, four=[4])
    same(args, [1, "two"])
    same(kw, {"three": 3, "four": [4]})
    same((yield s.call("kwargs")), [[], {}])


@check("calls")
def shared_argument(s):
    inner = ["x"]
    args, _ = yield s.call("kwargs", inner, inner)
    assert args[0] is args[1], args


@check("calls")
def keeps_order(s):
    counter = yield s.call("counter")
    answers = yield defer.gatherResults([counter.callRemote("incr") for _ in range(200)])
    same(answers, list(range(1, 201)))


@check("calls")
def ten_thousand_in_flight(s):
    answers = yield defer.gatherResults([s.call("add", i, 1) for i in range(10000)])
    same(answers, list(range(1, 10001)))


@check("calls")
def answers_overtake(s):
    """A call that is answered later holds up nobody, on the same object either."""
    order = []
    slow = s.call("later", 300, "slow").addCallback(order.append)
    quick = s.call("later", 0, "quick").addCallback(order.append)
    yield defer.gatherResults([slow, quick])
    same(order, ["quick", "slow"])


@check("calls")
def no_answer(s):
    """A call without an answer is carried out, and nothing comes back for it: stock would fall over."""
    counter = yield s.call("counter")
    assert counter.callRemote("incr", 5, pbanswer=0) is None
    assert s.call("noSuchThing", pbanswer=0) is None
    assert s.call("fail", "error", "unheard", pbanswer=0) is None
    same((yield counter.callRemote("value")), 5)
    assert not s.broker.waitingForAnswers, s.broker.waitingForAnswers


@check("calls")
def unanswered_call_fails_when_the_connection_goes(s):
    lost = []
    s.call("never").addErrback(lambda failure: lost.append(failure.type.__name__))
    yield s.call("add", 1)
    yield s.close()
    yield eventually(lambda: lost == ["PBConnectionLost"], "the pending call failed")


@check("calls")
def names_as_bytes(s):
    same((yield s.call(b"add", 1, 2)), 3)


@check("calls")
def server_closes(s):
    lost = []
    s.broker.notifyOnDisconnect(lambda: lost.append(True))
    s.call("close").addErrback(lambda _: None)
    yield eventually(lambda: lost, "the server dropped the connection")
