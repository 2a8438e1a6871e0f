"""A stock front or back of twisted.web.distrib for the tests of this package.

peer.py front HOST PORT    serves HTTP; below /site is the back at HOST:PORT
peer.py back DIR [PORT]    publishes resources
"""

import json
import sys

from twisted.internet import reactor, task
from twisted.spread import pb
from twisted.web import distrib, resource, server, static


class Echo(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"application/json")
        text = lambda v: v.decode("latin-1")
        return json.dumps({
            "method": text(request.method), "path": text(request.path), "uri": text(request.uri),
            "prepath": list(map(text, request.prepath)), "postpath": list(map(text, request.postpath)),
            "args": {text(k): list(map(text, v)) for k, v in request.args.items()},
            "cookies": {text(k): text(v) for k, v in request.received_cookies.items()},
            "headers": {text(k): list(map(text, v)) for k, v in request.requestHeaders.getAllRawHeaders()},
            "client": [request.client.type, request.client.host, request.client.port],
            "length": len(request.content.read()),
        }).encode()

    render_POST = render_GET


class Cookies(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        request.addCookie(b"a", b"1\r\nX-Evil: 1; b", path=b"/", max_age=b"60", httpOnly=True, sameSite=b"lax")
        request.addCookie("c", "2", secure=True)
        return b"cookies"


class Tagged(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setETag(b'"v1"')
        request.setLastModified(1000000000.5)
        return b"tagged"


class Boom(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        raise ValueError("boom")


class Later(resource.Resource):
    """Ends in the middle of its response."""

    isLeaf = True

    def render_GET(self, request):
        request.write(b"begun ")
        return server.NOT_DONE_YET


class Push(resource.Resource):
    """Writes for ever, as a push producer that keeps to the pace of its client."""

    isLeaf = True
    paused = resumed = stopped = 0

    def render_GET(self, request):
        Pushing(self, request)
        return server.NOT_DONE_YET


class Pushing:
    def __init__(self, counts, request):
        self.counts, self.request = counts, request
        request.registerProducer(self, True)
        self.loop = task.LoopingCall(lambda: request.write(b"x" * 65536))
        self.loop.start(0.001)

    def pauseProducing(self):
        self.counts.paused += 1
        if self.loop.running:
            self.loop.stop()

    def resumeProducing(self):
        self.counts.resumed += 1
        if not self.loop.running:
            self.loop.start(0.001)

    def stopProducing(self):
        self.counts.stopped += 1
        if self.loop.running:
            self.loop.stop()


class Counts(resource.Resource):
    isLeaf = True

    def __init__(self, push):
        self.push = push

    def render_GET(self, request):
        return json.dumps([self.push.paused, self.push.resumed, self.push.stopped]).encode()


def back(directory, port=0):
    root, push = resource.Resource(), Push()
    root.putChild(b"echo", Echo())
    root.putChild(b"files", static.File(directory))
    root.putChild(b"cookies", Cookies())
    root.putChild(b"tagged", Tagged())
    root.putChild(b"boom", Boom())
    root.putChild(b"later", Later())
    root.putChild(b"push", push)
    root.putChild(b"counts", Counts(push))
    return reactor.listenTCP(
        int(port), pb.PBServerFactory(distrib.ResourcePublisher(server.Site(root))), interface="127.0.0.1"
    )


def front(host, port):
    root = resource.Resource()
    root.putChild(b"site", distrib.ResourceSubscription(host, int(port)))
    return reactor.listenTCP(0, server.Site(root), interface="127.0.0.1")


listening = {"front": front, "back": back}[sys.argv[1]](*sys.argv[2:])
print("port", listening.getHost().port, flush=True)
reactor.run()
