"""Measures Jelly and Banana of stock Twisted. Reads requests as lines of JSON and answers each with a line of JSON."""

import gc
import json
import sys
import time
import zlib

from twisted.internet.testing import StringTransport
from twisted.spread import banana, jelly

NODES = 10000


def graph():
    nodes = [[i, None, None] for i in range(NODES)]
    for i, node in enumerate(nodes):
        node[1] = nodes[i // 2]
    return nodes


VALUES = {
    "small": (1, 2),
    "dict": {"key%d" % i: i * 1000 for i in range(10)},
    "ints": [i * 7 for i in range(1000)],
    "bytes": bytes(i & 255 for i in range(64 << 10)),
    "graph": graph(),
}


class Peer(banana.Banana):
    """A connection that has negotiated the profile pb."""

    def __init__(self, profile=b"pb"):
        super().__init__(isClient=False)
        self.makeConnection(StringTransport())
        self._selectDialect(profile)
        self.transport.clear()

    def connectionReady(self):
        pass

    def expressionReceived(self, expression):
        self.got = jelly.unjelly(expression)


def steps(name):
    value, peer = VALUES[name], Peer()

    def encode():
        peer.transport.clear()
        peer.sendEncoded(jelly.jelly(value))

    encode()
    frame = peer.transport.value()

    def decode():
        peer.dataReceived(frame)

    return frame, {"encode": encode, "decode": decode}


def measure(step, seconds):
    """Returns the mean time of one run in nanoseconds."""
    clock = time.perf_counter
    start, runs = clock(), 0
    while runs == 0 or clock() - start < seconds / 10:
        step()
        runs += 1
    runs = max(1, runs * 10 if seconds > 0 else 1)
    gc.collect()
    start = clock()
    for _ in range(runs):
        step()
    return (clock() - start) / runs * 1e9


def main():
    for line in sys.stdin:
        request = json.loads(line)
        frame, functions = steps(request["value"])
        ns = measure(functions[request["step"]], request["seconds"])
        print(json.dumps({"ns": ns, "size": len(frame), "crc": zlib.crc32(frame)}), flush=True)


main()
