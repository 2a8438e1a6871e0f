import sys

from twisted.internet import endpoints, reactor
from twisted.spread import pb


class Counter(pb.Root):
    n = 0

    def remote_incr(self, by):
        if by < 0:
            raise ValueError("cannot count by %d" % by)
        self.n += by
        return self.n


port = sys.argv[1] if len(sys.argv) > 1 else "8800"
listening = endpoints.serverFromString(reactor, "tcp:%s:interface=127.0.0.1" % port)
listening.listen(pb.PBServerFactory(Counter())).addCallback(lambda p: print("port", p.getHost().port))
reactor.run()
