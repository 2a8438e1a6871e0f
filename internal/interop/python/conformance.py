"""The classes that cross the wire between the conformance programs, under the names they have there.

A class's name on the wire is its module and its own name, so this file must be called conformance.py.
"""

import weakref

from twisted.spread import pb


class Custom(Exception):
    """An exception that a peer traps by its name, conformance.Custom."""


class Expected(pb.Error):
    """An exception of the kind that PB sends without logging it: conformance.Expected."""


class Point(pb.Copyable, pb.RemoteCopy):
    """A value that is copied, in both directions."""

    def __init__(self, x=None, y=None):
        self.x, self.y = x, y


class Stranger(pb.Copyable):
    """A Copyable that nobody registers: whoever receives it must refuse it."""


class Pond(pb.Cacheable):
    """A list that its observers follow."""

    def __init__(self, items):
        self.items = list(items)
        self.observers = []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.append(observer)
        return list(self.items)

    def stoppedObserving(self, perspective, observer):
        self.observers = [o for o in self.observers if o.broker is not observer.broker]

    def add(self, item):
        self.items.append(item)
        self.tell("add", item)

    def remove(self, item):
        self.items.remove(item)
        self.tell("remove", item)

    def tell(self, what, item):
        for observer in self.observers:
            observer.callRemote(what, item)


class RemotePond(pb.RemoteCache):
    """The receiving side of a Pond."""

    def setCopyableState(self, state):
        self.items = list(state)

    def observe_add(self, item):
        self.items.append(item)

    def observe_remove(self, item):
        self.items.remove(item)


class Counter(pb.Referenceable):
    """Counts; alive() says how many of them there are."""

    living = weakref.WeakSet()

    def __init__(self):
        self.n = 0
        Counter.living.add(self)

    def remote_incr(self, n=1):
        self.n += n
        return self.n

    def remote_value(self):
        return self.n

    def remote_self(self):
        return self

    def remote_boom(self):
        self.n = 0
        raise RuntimeError("boom")

    @classmethod
    def alive(cls):
        return len(cls.living)


pb.setUnjellyableForClass("conformance.Point", Point)
pb.setUnjellyableForClass("conformance.Pond", RemotePond)
