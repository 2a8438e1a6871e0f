"""Sends and takes files of any size in pages: send(collector, size), take() -> collector, taken() -> [bytes, sha256]."""

import hashlib

from twisted.internet import reactor
from twisted.spread import pb
from twisted.spread.util import FilePager

PATTERN = bytes(range(251)) * 400


class Pattern:
    """A file whose byte i is i modulo 251."""

    def __init__(self, size):
        self.at = 0
        self.size = size

    def read(self, most):
        start = self.at % 251
        chunk = PATTERN[start : start + min(most, self.size - self.at)]
        self.at += len(chunk)
        return chunk


class Taker(pb.Referenceable):
    def __init__(self):
        self.size = 0
        self.sum = hashlib.sha256()

    def remote_gotPage(self, page):
        self.size += len(page)
        self.sum.update(page)

    def remote_endedPaging(self):
        pass


class Root(pb.Root):
    def remote_send(self, collector, size):
        FilePager(collector, Pattern(size))

    def remote_take(self):
        self.taker = Taker()
        return self.taker

    def remote_taken(self):
        return [self.taker.size, self.taker.sum.hexdigest()]


port = reactor.listenTCP(0, pb.PBServerFactory(Root()), interface="127.0.0.1")
print("port", port.getHost().port)
reactor.run()
