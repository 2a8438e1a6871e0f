"""Stock Twisted. "alone" serves the page, "back" publishes it, "front" HOST PORT passes requests to a back."""
import json, os, sys, threading

from twisted.internet import reactor
from twisted.spread import pb
from twisted.web import distrib, resource, server


class Page(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"<p>a page of a few bytes</p>"


class Big(resource.Resource):
    """16 MiB, written by a push producer."""

    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"application/octet-stream")
        Blocks(request)
        return server.NOT_DONE_YET


class Blocks:
    block = bytes(128 << 10)

    def __init__(self, request):
        self.request, self.left, self.paused, self.scheduled = request, 128, False, False
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self):
        self.paused = False
        self.schedule()

    def schedule(self):
        # One block for each turn of the event loop, so that the front's pause arrives in between.
        if not self.scheduled and self.request is not None:
            self.scheduled = True
            reactor.callLater(0, self.write)

    def write(self):
        self.scheduled = False
        if self.paused or self.request is None:
            return
        self.request.write(self.block)
        self.left -= 1
        if self.left:
            self.schedule()
            return
        self.request.unregisterProducer()
        self.request.finish()
        self.request = None

    def pauseProducing(self):
        self.paused = True

    def stopProducing(self):
        self.request = None


def stop_with_parent():
    sys.stdin.read()
    os._exit(0)


mode = sys.argv[1]
if mode == "front":
    root = distrib.ResourceSubscription(sys.argv[2], int(sys.argv[3]))
else:
    root = resource.Resource()
    root.putChild(b"page.html", Page())
    root.putChild(b"big", Big())
factory = server.Site(root)
if mode == "back":
    factory = pb.PBServerFactory(distrib.ResourcePublisher(factory))
port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
threading.Thread(target=stop_with_parent, daemon=True).start()
print(json.dumps({"addr": "127.0.0.1:%d" % port}), flush=True)
reactor.run()
