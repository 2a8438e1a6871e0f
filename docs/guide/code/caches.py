"""The client of the page caches.md."""
import sys

from twisted.internet import defer, endpoints, task
from twisted.spread import pb


#guide:begin copy
class Scores(pb.RemoteCache):
    def setCopyableState(self, state):
        self.points = state["points"]

    def observe_set(self, player, points):
        self.points[player] = points
        print(player, "has", points)


pb.setUnjellyableForClass("game.Scores", Scores)


@defer.inlineCallbacks
def follow(reactor, address):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    scores = yield root.callRemote("scores")
    print("ann has", scores.points["ann"])
    yield root.callRemote("win", "bob")
#guide:end


task.react(follow, sys.argv[1:])
