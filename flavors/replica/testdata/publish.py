"""Publishes a map and a value of the form of package replica. The root's methods change them."""

from twisted.internet import reactor
from twisted.spread import pb


class Original(pb.Cacheable):
    def __init__(self):
        self.observers = []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.append(observer)
        return self.state()

    def stoppedObserving(self, perspective, observer):
        self.observers.remove(observer)

    def tell(self, *call):
        for observer in self.observers:
            observer.callRemote(*call)


class Users(Original):
    items = {"ann": 1}

    def state(self):
        return {"items": self.items}


class Topic(Original):
    value = "none"

    def state(self):
        return {"value": self.value}


class Hub(pb.Root):
    def __init__(self):
        self.kept = Users()
        self.topic = Topic()

    def remote_topic(self):
        return self.topic

    def remote_discuss(self, value):
        self.topic.value = value
        self.topic.tell("set", value)

    def remote_topicObservers(self):
        return len(self.topic.observers)

    def remote_users(self):
        return self.kept

    def remote_set(self, key, value):
        self.kept.items[key] = value
        self.kept.tell("set", key, value)

    def remote_delete(self, key):
        del self.kept.items[key]
        self.kept.tell("delete", key)

    def remote_replace(self, items):
        self.kept.items = items
        self.kept.tell("replace", items)

    def remote_observers(self):
        return len(self.kept.observers)


port = reactor.listenTCP(0, pb.PBServerFactory(Hub()), interface="127.0.0.1")
print("port", port.getHost().port, flush=True)
reactor.run()
