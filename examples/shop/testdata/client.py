"""A stock client of the shop: the generated class with Twisted. Arguments: PORT, and the directory of shop_pb.py."""
import sys

from twisted.internet import defer, endpoints, reactor
from twisted.spread import jelly, pb

sys.path.insert(0, sys.argv[2])
from shop_pb import ShopClient


class Article(pb.Copyable, pb.RemoteCopy):
    def getTypeToCopy(self):
        return b"shop.Article"


pb.setUnjellyableForClass("shop.Article", Article)


class Customer(pb.Referenceable):
    def __init__(self):
        self.told = defer.Deferred()

    def remote_priceChanged(self, name, cents):
        print("told", name, cents, flush=True)
        self.told.callback(None)


@defer.inlineCallbacks
def refused(what, d):
    try:
        yield d
    except pb.RemoteError as e:
        print("refused", what, e.args[0], flush=True)
    except Exception as e:
        print("refused", what, type(e).__name__, e.args[0], flush=True)
    else:
        print("accepted", what, flush=True)


@defer.inlineCallbacks
def main():
    factory = pb.PBClientFactory()
    endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", int(sys.argv[1])).connect(factory)
    shop = ShopClient((yield factory.getRootObject()))
    tea = yield shop.find("tea")
    print("found", tea.name, tea.cents, flush=True)
    print("order", (yield shop.order(tea, 2)), (yield shop.order(tea, 1, gift=True, note="hi", discount=0)), flush=True)
    print("stock", (yield shop.stock("tea")), flush=True)
    print("prices", sorted((yield shop.prices()).items()), (yield shop.prices("milk")), flush=True)
    yield refused("dict", shop.order({"name": "tea", "cents": 1}, 1))
    yield refused("None", shop.order(None, 1))
    yield refused("text", shop.order(tea, "two"))
    yield refused("keyword", shop._ref.callRemote("order", tea, 1, colour="red"))
    yield refused("few", shop._ref.callRemote("order", tea))
    yield refused("many", shop._ref.callRemote("find", "tea", "milk"))
    yield refused("twice", shop._ref.callRemote("find", "tea", name="milk"))
    yield refused("customer", shop.subscribe("nobody"))
    yield refused("shop as customer", shop.subscribe(shop._ref))
    customer = Customer()
    yield shop.subscribe(customer)
    yield shop.setPrice("tea", 310)
    yield customer.told
    print("done", flush=True)
    reactor.stop()


def failed(f):
    f.printTraceback()
    reactor.stop()


main().addErrback(failed)
reactor.run()
