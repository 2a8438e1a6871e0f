"""Follows a map or a value: follow.py HOST:PORT METHOD. Prints the state, and after each update the update and what it
has."""

import sys

from twisted.internet import reactor
from twisted.spread import pb


class Users(pb.RemoteCache):
    def observe_set(self, key, value):
        self.items[key] = value
        self.show("set %s" % key)

    def observe_delete(self, key):
        self.items.pop(key, None)
        self.show("delete %s" % key)

    def observe_replace(self, items):
        self.items = items
        self.show("replace")

    def show(self, what):
        print(what, sorted(self.items.items()), flush=True)


class Topic(pb.RemoteCache):
    def observe_set(self, value):
        self.value = value
        self.show("set")

    def show(self, what):
        print(what, repr(self.value), flush=True)


pb.setUnjellyableForClass("hub.Users", Users)
pb.setUnjellyableForClass("hub.Topic", Topic)
kept = []


def got(copy):
    kept.append(copy)
    copy.show("state")


host, _, port = sys.argv[1].rpartition(":")
factory = pb.PBClientFactory()
reactor.connectTCP(host, int(port), factory)
d = factory.getRootObject()
d.addCallback(lambda root: root.callRemote(sys.argv[2]))
d.addCallback(got)
d.addErrback(lambda why: print("failed", why, flush=True))
reactor.run()
