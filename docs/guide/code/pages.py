"""The programs of the page pages.md: pages.py serve PORT, or pages.py call HOST:PORT."""
import sys

from twisted.internet import defer, endpoints, reactor
from twisted.spread import pb, util


#guide:begin pages
class Shelf(pb.Root):
    def remote_read(self, collector, name):
        util.StringPager(collector, b"It was a dark and stormy night. " * 30000, 8192)


@defer.inlineCallbacks
def call(address):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    pages = yield util.getAllPages(root, "read", "novel")
    print(len(b"".join(pages)), "bytes")
#guide:end
    reactor.stop()


if sys.argv[1] == "serve":
    listening = endpoints.serverFromString(reactor, "tcp:%s:interface=127.0.0.1" % sys.argv[2])
    listening.listen(pb.PBServerFactory(Shelf())).addCallback(lambda p: print("port", p.getHost().port))
else:
    call(sys.argv[2]).addErrback(lambda f: (f.printTraceback(), reactor.stop()))
reactor.run()
