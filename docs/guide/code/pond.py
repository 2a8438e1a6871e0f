"""The stock server of the page command.md. Argument: PORT, 0 for any."""
import sys

from twisted.internet import endpoints, reactor
from twisted.spread import pb


#guide:begin pond
class Countdown(pb.Cacheable):
    def __init__(self, n):
        self.n, self.observers = n, []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.append(observer)
        reactor.callLater(0.1, self.tick)
        return {"n": self.n}

    def tick(self):
        self.n -= 1
        for observer in self.observers:
            observer.callRemote("tick", self.n)
        if self.n > 0:
            reactor.callLater(0.1, self.tick)

    def stoppedObserving(self, perspective, observer):
        self.observers.remove(observer)


class Pond(pb.Root):
    def remote_add(self, a, b=10):
        return a + b

    def remote_echo(self, x):
        return x

    def remote_feed(self, grams):
        raise ValueError("the ducks have had enough")

    def remote_countdown(self, n):
        return Countdown(n)
#guide:end


def listening(port):
    print("port", port.getHost().port, flush=True)


server = endpoints.TCP4ServerEndpoint(reactor, int(sys.argv[1]), interface="127.0.0.1")
server.listen(pb.PBServerFactory(Pond())).addCallback(listening)
reactor.run()
