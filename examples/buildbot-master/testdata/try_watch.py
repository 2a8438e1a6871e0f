"""Tries a patch as the stock client does, with None for every option, and prints what its watcher is told.

    try_watch.py HOST:PORT USER PASSWORD PATCH
"""

import sys

from twisted.cred import credentials
from twisted.internet import defer, reactor
from twisted.spread import pb


class Watcher(pb.Referenceable):
    def __init__(self):
        self.done = defer.Deferred()

    @defer.inlineCallbacks
    def remote_newbuild(self, build, name):
        print("newbuild", name)
        build.callRemote("subscribe", self, 20)
        answer = yield build.callRemote("waitUntilFinished")
        results = yield answer.callRemote("getResults")
        text = yield answer.callRemote("getText")
        print("finished", answer == build, results, text)
        self.done.callback(None)

    def remote_stepStarted(self, name, build, step, info):
        print("stepStarted", name, step, info)

    def remote_stepFinished(self, name, build, step, info, results):
        print("stepFinished", name, step, info, results)


@defer.inlineCallbacks
def main(address, user, password, patch):
    host, port = address.split(":")
    factory = pb.PBClientFactory()
    reactor.connectTCP(host, int(port), factory)
    avatar = yield factory.login(credentials.UsernamePassword(user.encode(), password.encode()))
    build_set = yield avatar.callRemote(
        "try", None, None, (1, patch.encode()), None, None, None, None, None, {}
    )
    watcher = Watcher()
    for _, request in (yield build_set.callRemote("getBuildRequests")):
        yield request.callRemote("subscribe", watcher)
        yield request.callRemote("subscribe", watcher)
    yield watcher.done


def failed(failure):
    failure.printTraceback()
    global code
    code = 1


code = 0
main(*sys.argv[1:]).addErrback(failed).addBoth(lambda _: reactor.stop())
reactor.run()
sys.exit(code)
