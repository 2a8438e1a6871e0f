"""Follows one pond over many connections: follow_client.py HOST:PORT CONNECTIONS.

Each connection takes the pond, calls wait, and when that is answered prints "followed" and the pond's items. Then it drops the pond, but
the last one keeps it until the program is killed.
"""

import sys

import conformance  # noqa: F401 (importing it registers the classes)
from twisted.internet import defer, reactor
from twisted.spread import pb


@defer.inlineCallbacks
def follow(host, port, keeps):
    factory = pb.PBClientFactory()
    reactor.connectTCP(host, port, factory)
    root = yield factory.getRootObject()
    pond = yield root.callRemote("getPond")
    yield root.callRemote("wait")
    print("followed", pond.items)
    if not keeps:
        del pond
        yield root.callRemote("dropped")
    defer.returnValue(None if not keeps else pond)


def main():
    host, _, port = sys.argv[1].rpartition(":")
    count = int(sys.argv[2])
    kept = [follow(host, int(port), i == count - 1) for i in range(count)]
    for d in kept:
        d.addErrback(lambda why: print("failed", why))
    reactor.run()


main()
