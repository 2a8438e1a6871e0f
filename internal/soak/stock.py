"""A peer of the soak test that uses stock Twisted: stock.py HOST PORT SEED SECONDS.

Several clients perform random steps until the time has passed. Then it prints its tally as a line of JSON.
"""

import json
import random
import sys

from twisted.cred import credentials
from twisted.internet import defer, error, reactor, task
from twisted.python import failure
from twisted.spread import pb
from twisted.spread.util import getAllPages

tally = {"Calls": 0, "Ended": {}, "Connections": 0, "Refused": 0, "Broken": 0, "Avatars": 0, "Errors": []}


def report_error(text):
    if len(tally["Errors"]) < 20:
        tally["Errors"].append("stock: " + text)


def check(ok, text):
    if not ok:
        report_error(text)


class Callback(pb.Referenceable):
    """The object that a client passes to the server."""

    def remote_addOne(self, n):
        return n + 1


class Value(pb.RemoteCache):
    """A copy of the server's value. It reports increments that it missed."""

    def setCopyableState(self, state):
        self.n = state

    def observe_increment(self, n):
        if n != self.n + 1:
            report_error("a copy with value %d received the increment to %d" % (self.n, n))
        self.n = n


pb.setUnjellyableForClass("soak.Value", Value)


def outcome(f):
    if f.check(pb.DeadReferenceError):
        return "dead reference"
    if f.check(pb.PBConnectionLost, error.ConnectionLost, error.ConnectionDone, error.ConnectError):
        return "connection lost"
    if f.check(defer.CancelledError):
        return "cancelled"
    if f.check("perspectivebroker.Busy"):
        return "refused: busy"
    return "failed remotely"


def count(d):
    """Counts a call and its end. The result of d is passed on, a failure as None."""
    tally["Calls"] += 1
    ends = []

    def ended(result):
        ends.append(1)
        if len(ends) > 1:
            report_error("a call ended twice")
        key = outcome(result) if isinstance(result, failure.Failure) else "answered"
        tally["Ended"][key] = tally["Ended"].get(key, 0) + 1
        return None if isinstance(result, failure.Failure) else result

    return d.addBoth(ended)


class Client:
    """Opens one connection after the other and performs random steps on each."""

    def __init__(self, host, port, rnd, until):
        self.host, self.port, self.rnd, self.until = host, port, rnd, until

    @defer.inlineCallbacks
    def run(self):
        while reactor.seconds() < self.until:
            factory = pb.PBClientFactory()
            connector = reactor.connectTCP(self.host, self.port, factory)
            waiting = factory.getRootObject()
            timeout = reactor.callLater(10, connector.disconnect)
            try:
                root = yield waiting
            except Exception:
                tally["Refused"] += 1
                yield task.deferLater(reactor, 0.1, lambda: None)
                continue
            finally:
                if timeout.active():
                    timeout.cancel()
            tally["Connections"] += 1
            yield self.steps(factory, root.broker.remoteForName("service"), root.broker)
            connector.disconnect()

    @defer.inlineCallbacks
    def steps(self, factory, service, broker):
        rnd, pending, counters, values, avatars, callback = self.rnd, [], [], [], [], Callback()
        for _ in range(rnd.randrange(1, 150)):
            if broker.disconnected or reactor.seconds() > self.until:
                break
            step = rnd.randrange(11)
            try:
                if step < 2:
                    text = "x" * rnd.randrange(1 << rnd.randrange(13))
                    d = count(service.callRemote("echo", text))
                    d.addCallback(lambda got, text=text: check(got in (None, text), "wrong echo"))
                elif step == 2:
                    d = count(service.callRemote("counter"))
                    d.addCallback(lambda ref: ref and counters.append([ref, 0]))
                elif step in (3, 4) and counters:
                    counter = rnd.choice(counters)
                    counter[1] += 1
                    d = count(counter[0].callRemote("set", counter[1]))
                    d.addCallback(lambda got, n=counter[1]: check(
                        got in (None, n), "wrong answer to set(%d): %r" % (n, got)))
                elif step == 5:
                    n = rnd.randrange(1000)
                    d = count(service.callRemote("callBack", callback, n))
                    d.addCallback(lambda got, n=n: check(
                        got in (None, n + 1), "wrong answer of the callback to %d: %r" % (n, got)))
                elif step == 6:
                    d = count(service.callRemote("value"))
                    d.addCallback(values.append)
                elif step == 7:
                    d = count(service.callRemote("increment"))
                    del values[:1], counters[:1]
                elif step == 8:
                    login = credentials.UsernamePassword(b"soak", b"soak password")
                    d = count(factory.login(rnd.choice([login, credentials.Anonymous()]), None))
                    d.addCallback(lambda avatar: avatar and avatars.append(avatar))
                elif step == 9:
                    size = rnd.randrange(1 << 16)
                    # Not counted: getAllPages never ends if the connection is lost.
                    pages = getAllPages(service, "pages", size)
                    pages.addCallback(lambda got, n=size: check(sum(map(len, got)) == n, "wrong size of pages"))
                    pages.addErrback(lambda failure: None)
                    d = None
                else:
                    d = task.deferLater(reactor, rnd.random() / 20, lambda: None)
            except pb.DeadReferenceError:
                break
            if d is not None:
                pending.append(d)
            if len(pending) > 10:
                yield defer.DeferredList(pending)
                del pending[:]
                tally["Avatars"] += len(avatars)
                del avatars[:]
        if rnd.randrange(2):
            yield defer.DeferredList(pending)
        tally["Avatars"] += len(avatars)
        if broker.disconnected:
            tally["Broken"] += 1


def main():
    host, port, seed, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    until = reactor.seconds() + seconds
    clients = [Client(host, port, random.Random(seed * 10 + i), until).run() for i in range(3)]
    done = defer.DeferredList(clients, consumeErrors=True)

    def report(results):
        for ok, result in results:
            if not ok:
                report_error("a client failed: %s" % result.getTraceback())
        print(json.dumps(tally), flush=True)
        reactor.stop()

    done.addCallback(report)
    reactor.run()


main()
