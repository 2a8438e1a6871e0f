#!/usr/bin/python3
"""Makes failures.json with stock Twisted, and tells what stock makes of failures.

    gen_failures.py > failures.json   what a stock broker sends for calls that fail
    gen_failures.py --serve           one JSON question a line on stdin, one answer a line on stdout

Golden entries are the failure alone, as the third element of [error id failure],
in both profiles. Twisted numbers its failures; here each is number 0. Nothing
here imports or imitates the Go code.
"""

import io
import json
import platform
import sys

import twisted
from twisted.cred import error as credError
from twisted.internet import defer
from twisted.internet.testing import StringTransport
from twisted.python import failure, log
from twisted.spread import banana, flavors, jelly, pb


def named(name, *bases):
    module, _, cls = name.rpartition(".")
    return type(cls, bases, {"__module__": module})


Custom = named("conformance.Custom", pb.Error)
Left = named("diamond.Left", Custom)
Right = named("diamond.Right", Custom)
Both = named("diamond.Both", Left, Right)
Mixed = named("diamond.Mixed", KeyError, Custom)

# What is raised, by name. The name of the Go test's own case is the same.
RAISED = {
    "exception": Exception("boom"),
    "empty": Exception(),
    "unicode": Exception("größer \u2260 \U0001f986"),
    "lines": Exception("one\ntwo\n"),
    "vocabulary word": Exception("None"),
    "pb.Error": pb.Error("expected"),
    "TypeError": TypeError("cannot use str as int"),
    "ValueError": ValueError("v"),
    "KeyError": KeyError("k"),
    "IndexError": IndexError("i"),
    "RuntimeError": RuntimeError("r"),
    "NotImplementedError": NotImplementedError("n"),
    "AttributeError": AttributeError("a"),
    "LookupError": LookupError("l"),
    "NoSuchMethod": flavors.NoSuchMethod("No such method: remote_foo"),
    "DeadReference": pb.DeadReferenceError("Calling Stale Broker"),
    "ConnectionLost": pb.PBConnectionLost("gone"),
    "ProtocolError": pb.ProtocolError("p"),
    "InsecureJelly": jelly.InsecureJelly("Module not allowed"),
    "BananaError": banana.BananaError("too long"),
    "CancelledError": defer.CancelledError(),
    "TimeoutError": defer.TimeoutError("late"),
    "UnauthorizedLogin": credError.UnauthorizedLogin("who?"),
    "custom": Custom("c"),
    "diamond": Both("d"),
    "mixed": Mixed("m"),
}


class Root(pb.Root):
    def remote_fail(self, name):
        raise RAISED[name]

    def remote_later(self, name):
        return defer.fail(RAISED[name])


class Stock:
    """A stock server with a client's end that only keeps what was sent to it."""

    def __init__(self, profile):
        factory = pb.PBServerFactory(Root())
        self.broker = factory.buildProtocol(None)
        self.broker.makeConnection(StringTransport())
        choice = io.BytesIO()
        banana.int2b128(len(profile), choice.write)
        self.broker.dataReceived(choice.getvalue() + banana.STRING + profile)
        self.sent = []
        self.broker.sendCall = lambda *exp: self.sent.append(exp)

    def fail(self, how, name):
        self.sent.clear()
        failure.count = -1
        self.broker.proto_message(7, b"root", how, 1, [b"tuple", [b"unicode", name.encode()]], [b"dictionary"])
        ((word, request, sexp),) = self.sent
        assert (word, request) == (b"error", 7), self.sent
        out = io.BytesIO()
        self.broker._encode(sexp, out.write)
        return out.getvalue().hex()

    def decode(self, data):
        got = []
        self.broker.expressionReceived = got.append
        self.broker.dataReceived(data)
        (exp,) = got
        return exp


def golden():
    stocks = {"none": Stock(b"none"), "pb": Stock(b"pb")}
    entries = []
    for how in ("fail", "later"):
        for name, raised in RAISED.items():
            entry = {"name": name, "how": how, "type": type(raised).__module__ + "." + type(raised).__qualname__}
            entry["value"] = str(raised)
            entry["parents"] = failure.Failure(raised).parents
            for profile, stock in stocks.items():
                entry[profile] = stock.fail(how, name)
            entries.append(entry)
    # What is not a subclass of Exception has itself for a parent.
    RAISED["base"] = BaseException("not an Exception")
    entry = {"name": "base", "how": "fail", "type": "builtins.BaseException", "value": "not an Exception"}
    entry["parents"] = ["builtins.BaseException"]
    for profile, stock in stocks.items():
        entry[profile] = stock.fail("fail", "base")
    entries.append(entry)
    provenance = {
        "script": "testdata/gen_failures.py",
        "twisted": twisted.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    json.dump({"provenance": provenance, "failures": entries}, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


def attempt(f):
    try:
        return f()
    except BaseException as e:
        return "raised " + type(e).__module__ + "." + type(e).__qualname__ + ": " + str(e)


def examine(question):
    """What stock code can do with a failure that it received, and what goes on from there."""
    stock = Stock(question["profile"].encode())
    sexp = stock.decode(bytes.fromhex(question["hex"]))
    received = stock.broker.unserialize(sexp)
    answer = {"class": type(received).__module__ + "." + type(received).__qualname__}
    answer["message"] = attempt(received.getErrorMessage)
    answer["checked"] = attempt(lambda: received.check(*question["check"]))
    answer["trapped"] = attempt(lambda: received.trap(*question["trap"]))
    answer["byClass"] = [c.__name__ for c in (Exception, KeyError, flavors.NoSuchMethod, pb.Error) if received.check(c)]
    for name in ("printTraceback", "printBriefTraceback", "printDetailedTraceback"):
        def printed(name=name):
            out = io.StringIO()
            getattr(received, name)(file=out)
            return out.getvalue()
        answer[name] = attempt(printed)
    answer["getTraceback"] = attempt(received.getTraceback)
    answer["traceback"] = received.traceback

    @defer.inlineCallbacks
    def wait():
        d = defer.Deferred()
        d.errback(received)
        try:
            yield d
        except pb.RemoteError as e:
            return [e.remoteType.decode(), str(e), e.remoteTraceback]

    thrown = []
    wait().addBoth(thrown.append)
    answer["thrown"] = thrown[0] if isinstance(thrown[0], list) else str(thrown[0])

    # Passed on to a third program: an errback that returns it from a remote_ method.
    RAISED["received"] = None
    again = Stock(b"none")
    again.broker.factory.root.remote_pass = lambda: defer.fail(received)
    again.broker.proto_message(8, b"root", "pass", 1, [b"tuple"], [b"dictionary"])
    third = Stock(b"none").broker.unserialize(again.sent[0][2])
    answer["passedOn"] = [third.type.decode(), third.value, third.parents]
    return answer


def serve():
    for line in sys.stdin:
        try:
            answer = examine(json.loads(line))
        except BaseException as e:
            answer = {"error": failure.Failure(e).getTraceback()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    log.startLoggingWithObserver(lambda event: None, setStdout=0)
    serve() if "--serve" in sys.argv else golden()
