"""The programs of the page twisted.md: words.py serve PORT, or words.py call HOST:PORT."""
import sys

from twisted.internet import defer, endpoints, reactor
from twisted.spread import pb


#guide:begin words
class Empty(pb.Error):
    pass


class Pond(pb.Root):
    ducks = ["Donald", "Daisy"]

    def remote_take(self):
        if not self.ducks:
            raise Empty("no ducks left")
        return self.ducks.pop()

    def remote_add(self, name, times=1):
        self.ducks += [name] * times
        return len(self.ducks)

    def remote_takeLater(self, bell):
        d = bell.callRemote("wait")
        d.addCallback(lambda _: self.remote_take())
        return d
#guide:end


class Bell(pb.Referenceable):
    def remote_wait(self):
        return None


#guide:begin failures
def take(root):
    d = root.callRemote("take")
    d.addErrback(lambda f: f.trap("pond.Empty") and "none")
    return d
#guide:end


@defer.inlineCallbacks
def call(address):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    print("took", (yield take(root)))
    print("added", (yield root.callRemote("add", "Dewey", times=2)))
    print("later", (yield root.callRemote("takeLater", Bell())))
    print("took", (yield take(root)), (yield take(root)), (yield take(root)))
    print("kinds", (yield root.callRemote("kinds", "text", b"bytes")))
    reactor.stop()


if sys.argv[1] == "serve":
    Empty.__module__ = "pond"
    listening = endpoints.serverFromString(reactor, "tcp:%s:interface=127.0.0.1" % sys.argv[2])
    listening.listen(pb.PBServerFactory(Pond())).addCallback(lambda p: print("port", p.getHost().port))
else:
    call(sys.argv[2]).addErrback(lambda f: (f.printTraceback(), reactor.stop()))
reactor.run()
