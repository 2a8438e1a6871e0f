"""Follows a map: follow.py HOST:PORT. Prints what it has after each update, then "state" and all of it."""

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


pb.setUnjellyableForClass("hub.Users", Users)
kept = []


def got(users):
    kept.append(users)
    users.show("state")


host, _, port = sys.argv[1].rpartition(":")
factory = pb.PBClientFactory()
reactor.connectTCP(host, int(port), factory)
d = factory.getRootObject()
d.addCallback(lambda root: root.callRemote("users"))
d.addCallback(got)
d.addErrback(lambda why: print("failed", why, flush=True))
reactor.run()
