"""Follows a map or a value: replica.py HOST:PORT METHOD."""

import sys

from twisted.internet import defer, endpoints, reactor
from twisted.spread import pb


#guide:begin replica
class Users(pb.RemoteCache):
    def observe_set(self, key, value):
        self.items[key] = value
        print(key, value)

    def observe_delete(self, key):
        self.items.pop(key, None)

    def observe_replace(self, items):
        self.items = items


class Topic(pb.RemoteCache):
    def observe_set(self, value):
        self.value = value
        print("topic", value)


pb.setUnjellyableForClass("hub.Users", Users)
pb.setUnjellyableForClass("hub.Topic", Topic)
#guide:end

kept = []


@defer.inlineCallbacks
def main(address, method):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    root = yield factory.getRootObject()
    copy = yield root.callRemote(method)
    kept.append(copy)
    print("began with", copy.items if method == "users" else copy.value)


sys.stdout.reconfigure(line_buffering=True)
main(*sys.argv[1:])
reactor.run()
