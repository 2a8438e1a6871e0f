"""A server and a client that use stock Perspective Broker, for cmd/compare.

The client does what client.go and load.go do in Go. Requests and replies are lines of JSON; see package child."""
import argparse
import json
import resource
import sys
import time

from twisted.internet import defer, protocol, reactor, stdio
from twisted.protocols import basic
from twisted.spread import pb


class Board(pb.Cacheable):
    """A number that many clients watch."""

    def __init__(self):
        self.n, self.observers = 0, []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.append(observer)
        return self.n

    def stoppedObserving(self, perspective, observer):
        self.observers.remove(observer)

    def change(self, n):
        self.n = n
        for observer in self.observers:
            observer.callRemote("change", n)


class BoardCopy(pb.RemoteCache):
    seen = staticmethod(lambda n: None)

    def setCopyableState(self, state):
        self.n = state

    def observe_change(self, n):
        self.n = n
        BoardCopy.seen(n)


pb.setUnjellyableForClass(Board, BoardCopy)


class Bench(pb.Root):
    board = Board()

    def remote_watch(self):
        return self.board

    def remote_change(self, n):
        self.board.change(n)

    def remote_add(self, a, b):
        return a + b

    def remote_echo(self, payload):
        return payload


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def quantile(ordered, q):
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] * 1e6 if ordered else 0


class Client:
    def __init__(self, addr):
        host, _, port = addr.rpartition(":")
        self.host, self.port = host, int(port)
        self.factories, self.roots, self.callers, self.boards = [], [], [], []

    def root(self):
        factory = pb.PBClientFactory()
        self.factories.append(factory)
        reactor.connectTCP(self.host, self.port, factory)
        return factory.getRootObject()

    @defer.inlineCallbacks
    def open(self, request):
        for _ in range(request.get("conns", 1)):
            self.roots.append((yield self.root()))
        if request.get("watch"):
            for root in self.roots:
                self.boards.append((yield root.callRemote("watch")))
            return
        size = request.get("payload", 0)
        for i in range(request.get("callers", 1)):
            self.callers.append((self.roots[i % len(self.roots)], bytes(n * 7 & 0xFF for n in range(size))))

    @defer.inlineCallbacks
    def run(self, request):
        latencies, begin, used = [], time.perf_counter(), cpu()
        end = begin + request["millis"] / 1e3
        if self.boards:
            yield self.change(end, latencies)
        else:
            yield defer.gatherResults([self.loop(root, payload, end, latencies) for root, payload in self.callers])
        seconds, used = time.perf_counter() - begin, cpu() - used
        latencies.sort()
        return {"calls": len(latencies), "seconds": seconds, "cpu_us": used,
                "p50_us": quantile(latencies, 0.5), "p99_us": quantile(latencies, 0.99)}

    @defer.inlineCallbacks
    def change(self, end, latencies):
        """Changes the board repeatedly. Waits after each change until all copies have seen it."""
        while time.perf_counter() < end:
            begin, all_seen, remaining = time.perf_counter(), defer.Deferred(), [len(self.boards)]

            def seen(n):
                remaining[0] -= 1
                if remaining[0] == 0:
                    all_seen.callback(None)

            BoardCopy.seen = staticmethod(seen)
            yield self.roots[0].callRemote("change", len(latencies))
            yield all_seen
            latencies.append(time.perf_counter() - begin)

    def loop(self, root, payload, end, latencies):
        """Runs one caller. Uses plain callbacks, because inlineCallbacks would add to the measured time."""
        done = defer.Deferred()
        state = [time.perf_counter(), 0]

        def call():
            state[1] += 1
            if payload:
                d = root.callRemote("echo", payload)
            else:
                d = root.callRemote("add", state[1] & 0xFF, 2)
            d.addCallbacks(answered, done.errback)

        def answered(answer):
            good = len(answer) == len(payload) if payload else answer == (state[1] & 0xFF) + 2
            if not good:
                done.errback(ValueError("wrong answer"))
                return
            now = time.perf_counter()
            latencies.append(now - state[0])
            state[0] = now
            if now < end:
                call()
            else:
                done.callback(None)

        call()
        return done

    def close(self, request):
        for factory in self.factories:
            factory.disconnect()
        self.factories, self.roots, self.callers, self.boards = [], [], [], []


class Conversation(basic.LineReceiver):
    delimiter = b"\n"

    def __init__(self, ready, client=None):
        self.ready, self.client = ready, client

    def connectionMade(self):
        self.reply(self.ready)

    def reply(self, reply):
        self.sendLine(json.dumps(reply or {}).encode())

    def lineReceived(self, line):
        request = json.loads(line)
        op = request["op"]
        if op == "usage":
            self.reply({"cpu_us": cpu()})
        elif self.client is None or op not in ("open", "run", "close"):
            self.reply({"error": "unknown operation %s" % op})
        else:
            d = defer.maybeDeferred(getattr(self.client, op), request)
            d.addCallbacks(self.reply, lambda f: self.reply({"error": f.getErrorMessage()}))

    def connectionLost(self, reason=protocol.connectionDone):
        if reactor.running:
            reactor.stop()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("-role")
    options.add_argument("-system")
    options.add_argument("-addr")
    args = options.parse_args(sys.argv[1:])
    if args.role == "server":
        port = reactor.listenTCP(0, pb.PBServerFactory(Bench()), interface="127.0.0.1", backlog=2000)
        stdio.StandardIO(Conversation({"addr": "127.0.0.1:%d" % port.getHost().port}))
    else:
        stdio.StandardIO(Conversation({}, Client(args.addr)))
    reactor.run()


main()
