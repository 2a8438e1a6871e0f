"""A stock peer of the soak: stock.py HOST PORT SEED SECONDS.

Some connections at a time do what their random numbers say, until the time is over. Then it prints a line of JSON that counts what was done.
"""

import json
import random
import sys

from twisted.cred import credentials
from twisted.internet import defer, error, reactor, task
from twisted.python import failure
from twisted.spread import pb
from twisted.spread.util import getAllPages

tally = {"Calls": 0, "Ended": {}, "Connections": 0, "Refused": 0, "Broken": 0, "Avatars": 0, "Wrong": []}


def wrong(text):
    if len(tally["Wrong"]) < 20:
        tally["Wrong"].append("stock: " + text)


class Toy(pb.Referenceable):
    """What is given away."""

    def remote_poke(self, n):
        return n + 1


class Pond(pb.RemoteCache):
    """A copy that must miss no update."""

    def setCopyableState(self, state):
        self.n = state

    def observe_stir(self, n):
        if n != self.n + 1:
            wrong("a copy that was at %d was told of stir %d" % (self.n, n))
        self.n = n


pb.setUnjellyableForClass("soak.Pond", Pond)


def reason(f):
    if f.check(pb.DeadReferenceError):
        return "dead reference"
    if f.check(pb.PBConnectionLost, error.ConnectionLost, error.ConnectionDone, error.ConnectError):
        return "connection lost"
    if f.check(defer.CancelledError):
        return "cancelled"
    if f.check("perspectivebroker.Busy"):
        return "refused: busy"
    return "the peer's failure"


def count(d):
    """Counts a call and its one end; its result goes on as it is, its failure as None."""
    tally["Calls"] += 1
    ends = []

    def ended(result):
        ends.append(1)
        if len(ends) > 1:
            wrong("a call ended twice")
        why = reason(result) if isinstance(result, failure.Failure) else "answered"
        tally["Ended"][why] = tally["Ended"].get(why, 0) + 1
        return None if isinstance(result, failure.Failure) else result

    return d.addBoth(ended)


class Player:
    """Plays on one connection after the other."""

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
            yield self.play(factory, root.broker.remoteForName("shop"), root.broker)
            connector.disconnect()

    @defer.inlineCallbacks
    def play(self, factory, shop, broker):
        rnd, under, counters, ponds, avatars, toy = self.rnd, [], [], [], [], Toy()
        for _ in range(rnd.randrange(1, 150)):
            if broker.disconnected or reactor.seconds() > self.until:
                break
            step = rnd.randrange(11)
            try:
                if step < 2:
                    text = "x" * rnd.randrange(1 << rnd.randrange(13))
                    d = count(shop.callRemote("echo", text))
                    d.addCallback(lambda got, text=text: got in (None, text) or wrong("an echo is not what was sent"))
                elif step == 2:
                    d = count(shop.callRemote("counter"))
                    d.addCallback(lambda ref: ref and counters.append([ref, 0]))
                elif step in (3, 4) and counters:
                    counter = rnd.choice(counters)
                    counter[1] += 1
                    d = count(counter[0].callRemote("click", counter[1]))
                    d.addCallback(lambda got, n=counter[1]: got in (None, n) or wrong("click %d was answered %r" % (n, got)))
                elif step == 5:
                    n = rnd.randrange(1000)
                    d = count(shop.callRemote("callBack", toy, n))
                    d.addCallback(lambda got, n=n: got in (None, n + 1) or wrong("the toy's %d came back as %r" % (n, got)))
                elif step == 6:
                    d = count(shop.callRemote("pond"))
                    d.addCallback(ponds.append)
                elif step == 7:
                    d = count(shop.callRemote("stir"))
                    del ponds[:1], counters[:1]
                elif step == 8:
                    who = credentials.UsernamePassword(b"soaker", b"in water")
                    d = count(factory.login(rnd.choice([who, credentials.Anonymous()]), None))
                    d.addCallback(lambda avatar: avatar and avatars.append(avatar))
                elif step == 9:
                    size = rnd.randrange(1 << 16)
                    # Not counted: without the connection it never ends, as stock's do.
                    pages = getAllPages(shop, "pages", size)
                    pages.addCallback(lambda got, n=size: sum(map(len, got)) == n or wrong("pages of another size"))
                    pages.addErrback(lambda why: None)
                    d = None
                else:
                    d = task.deferLater(reactor, rnd.random() / 20, lambda: None)
            except pb.DeadReferenceError:
                break
            if d is not None:
                under.append(d)
            if len(under) > 10:
                yield defer.DeferredList(under)
                del under[:]
                tally["Avatars"] += len(avatars)
                del avatars[:]
        if rnd.randrange(2):
            yield defer.DeferredList(under)
        tally["Avatars"] += len(avatars)
        if broker.disconnected:
            tally["Broken"] += 1


def main():
    host, port, seed, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    until = reactor.seconds() + seconds
    players = [Player(host, port, random.Random(seed * 10 + i), until).run() for i in range(3)]
    done = defer.DeferredList(players, consumeErrors=True)

    def report(results):
        for ok, why in results:
            if not ok:
                wrong("a player failed: %s" % why.getTraceback())
        print(json.dumps(tally), flush=True)
        reactor.stop()

    done.addCallback(report)
    reactor.run()


main()
