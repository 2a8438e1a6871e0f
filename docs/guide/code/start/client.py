import sys

from twisted.internet import defer, endpoints, task
from twisted.spread import pb


@defer.inlineCallbacks
def main(reactor, address="127.0.0.1:8800"):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    n = yield root.callRemote("incr", 2)
    print("counted to", n)
    try:
        yield root.callRemote("incr", -1)
    except pb.RemoteError as e:
        print("refused:", e.remoteType, e)
    factory.disconnect()


task.react(main, sys.argv[1:])
