"""The programs of the page copies.md: kitchen.py serve PORT, or kitchen.py call HOST:PORT."""
import sys

from twisted.internet import defer, endpoints, reactor
from twisted.spread import pb


#guide:begin copies
class Recipe(pb.Copyable, pb.RemoteCopy):
    def getTypeToCopy(self):
        return b"kitchen.Recipe"  # bytes; the default is the dotted name of the Python class


class Guest(pb.RemoteCopy):
    phone = None


pb.setUnjellyableForClass("kitchen.Recipe", Recipe)
pb.setUnjellyableForClass("kitchen.Guest", Guest)
#guide:end

class Kitchen(pb.Root):
    def remote_recipe(self, title):
        recipe = Recipe()
        recipe.title, recipe.grams = title, {"leek": 200}
        return recipe

    def remote_order(self, orders):
        assert orders[1] == {"dish": "pie", "extra": ["cream"]}, orders
        return len(orders)


@defer.inlineCallbacks
def call(address):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    recipe = yield root.callRemote("recipe", "soup")
    for name, grams in recipe.grams.items():
        print("%s: %d g of %s" % (recipe.title, grams, name))
    guest = yield root.callRemote("guest")
    print(guest.name, guest.phone)
    reactor.stop()


if sys.argv[1] == "serve":
    listening = endpoints.serverFromString(reactor, "tcp:%s:interface=127.0.0.1" % sys.argv[2])
    listening.listen(pb.PBServerFactory(Kitchen())).addCallback(lambda p: print("port", p.getHost().port))
else:
    call(sys.argv[2]).addErrback(lambda f: (f.printTraceback(), reactor.stop()))
reactor.run()
