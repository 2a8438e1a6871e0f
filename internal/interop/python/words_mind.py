"""Sends a stock PBMind to the root of a server at HOST:PORT, as method METHOD, and prints what becomes of it."""

import sys

from twisted.internet import defer, reactor, task
from twisted.spread import pb
from twisted.words import service


async def run(host, port, method):
    factory = pb.PBClientFactory()
    reactor.connectTCP(host, int(port), factory)
    root = await factory.getRootObject()
    try:
        print("answer", await root.callRemote(method, service.PBMind()), flush=True)
    except Exception as e:
        print("refused", e, flush=True)
    broker = root.broker
    while broker.localObjects:
        await task.deferLater(reactor, 0.01, lambda: None)
    await root.callRemote("echo", 1)  # The connection lives.
    print("given back", flush=True)


d = defer.ensureDeferred(run(*sys.argv[1].split(":"), sys.argv[2]))
d.addErrback(lambda f: print("failed", f.getTraceback(), flush=True))
d.addBoth(lambda _: reactor.stop())
reactor.run()
