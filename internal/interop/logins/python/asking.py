"""A login whose server asks the client's mind before it answers, as Buildbot's does.

    asking.py server             prints "port N"
    asking.py client HOST:PORT
"""

import sys

from twisted.cred import checkers, portal
from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, reactor
from twisted.spread import pb
from zope.interface import implementer


class User(pb.Avatar):
    def __init__(self, name, info):
        self.name, self.info = name, info

    def perspective_info(self):
        return self.info


@implementer(portal.IRealm)
class Realm:
    @defer.inlineCallbacks
    def requestAvatar(self, avatar_id, mind, *interfaces):
        yield mind.callRemote("print", "welcome")
        info = yield mind.callRemote("getInfo")
        return pb.IPerspective, User(avatar_id, info), lambda: print("logout")


class Mind(pb.Referenceable):
    def remote_print(self, message):
        print("asked to print", message)

    def remote_getInfo(self):
        return {"host": "stock"}


def server():
    checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(user1=b"pass1")
    factory = pb.PBServerFactory(portal.Portal(Realm(), [checker]))
    print("port", reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port)
    reactor.run()


def client(address):
    host, _, port = address.rpartition(":")
    factory = pb.PBClientFactory()
    reactor.connectTCP(host, int(port), factory)
    d = factory.login(UsernamePassword(b"user1", b"pass1"), Mind())
    d.addCallback(lambda avatar: avatar.callRemote("info"))
    d.addCallback(lambda info: print("info", info))
    d.addErrback(lambda failure: print("failed", failure))
    d.addBoth(lambda _: reactor.stop())
    reactor.run()


{"server": server, "client": client}[sys.argv[1]](*sys.argv[2:])
