"""A stock server with the methods of the shop."""
from twisted.internet import reactor
from twisted.spread import pb


class Article(pb.Copyable, pb.RemoteCopy):
    def getTypeToCopy(self):
        return b"shop.Article"


pb.setUnjellyableForClass("shop.Article", Article)


class Shop(pb.Root):
    def __init__(self):
        self.customers = []

    def remote_find(self, name):
        if name != "tea":
            raise KeyError(name)
        a = Article()
        a.name, a.cents = name, 300
        return a

    def remote_stock(self, name):
        return 8, False

    def remote_order(self, article, n, gift=False, note=None, discount=5):
        print("order", type(article).__name__, article.name, n, gift, note, discount, flush=True)
        return n * article.cents

    def remote_prices(self, *names):
        return {name: 300 for name in names}

    def remote_subscribe(self, customer):
        self.customers.append(customer)

    def remote_setPrice(self, name, cents):
        for c in self.customers:
            c.callRemote("priceChanged", name, cents)


port = reactor.listenTCP(0, pb.PBServerFactory(Shop()), interface="127.0.0.1")
print("port", port.getHost().port, flush=True)
reactor.run()
