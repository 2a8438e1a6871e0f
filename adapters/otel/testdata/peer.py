"""A stock peer. It serves an object, and calls the object at the port that it is given."""

import sys

from twisted.internet import defer, reactor
from twisted.spread import pb


class Root(pb.Root):
    def remote_echo(self, value):
        return value

    def remote_fail(self, text):
        raise ValueError(text)


@defer.inlineCallbacks
def call(port):
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", port, factory)
    root = yield factory.getRootObject()
    print("answer", (yield root.callRemote("hello", "stock")))
    print("answer", (yield root.callRemote("meet", Guest())))
    factory.disconnect()


class Guest(pb.Referenceable):
    def remote_greet(self, how):
        return "stock greetings " + how


port = reactor.listenTCP(0, pb.PBServerFactory(Root()), interface="127.0.0.1")
print("port", port.getHost().port)
call(int(sys.argv[1])).addErrback(lambda failure: print(failure))
sys.stdout.flush()
reactor.run()
