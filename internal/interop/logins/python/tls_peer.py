"""Stock Twisted over TLS: a server whose avatars say who they are, or a client that logs in and asks.

    tls_peer.py server CERT KEY CA [--mutual]
    tls_peer.py client PORT CERT KEY CA

Both need python3-openssl. The server prints "port N" and who logs in and out; the client what it was answered.
"""

import sys

from twisted.cred import checkers, portal
from twisted.cred.credentials import UsernamePassword
from twisted.internet import reactor, ssl
from twisted.spread import pb
from zope.interface import implementer


class User(pb.Avatar):
    def __init__(self, name):
        self.name = name.decode()

    def perspective_whoami(self):
        return self.name


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, avatar_id, mind, *interfaces):
        user = User(avatar_id)
        print("login", user.name)
        return pb.IPerspective, user, lambda: print("logout", user.name)


class Watched(pb.PBServerFactory):
    """Shows every method that is called by name, so that a test sees what a peer was asked for."""

    def buildProtocol(self, addr):
        broker = super().buildProtocol(addr)
        received = broker.proto_message

        def show(request, target, method, *rest):
            print("called", method.decode() if isinstance(method, bytes) else method)
            return received(request, target, method, *rest)

        broker.proto_message = show
        return broker


def read(path):
    with open(path, "rb") as f:
        return f.read()


def server(cert, key, ca, *flags):
    own = ssl.PrivateCertificate.loadPEM(read(cert) + read(key))
    options = own.options(ssl.Certificate.loadPEM(read(ca))) if "--mutual" in flags else own.options()
    checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(alice=b"sesame")
    factory = Watched(portal.Portal(Realm(), [checker]))
    print("port", reactor.listenSSL(0, factory, options, interface="127.0.0.1").getHost().port)
    reactor.run()


def client(port, cert, key, ca):
    own = ssl.PrivateCertificate.loadPEM(read(cert) + read(key))
    trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(read(ca))])
    options = ssl.optionsForClientTLS("localhost", trust, own)
    factory = pb.PBClientFactory()
    reactor.connectSSL("127.0.0.1", int(port), factory, options)

    def show(value):
        print("I am", value)

    def failed(failure):
        print("failed", failure.type, failure.getErrorMessage())

    d = factory.login(UsernamePassword(b"alice", b"sesame"))
    d.addCallback(lambda avatar: avatar.callRemote("whoami"))
    d.addCallback(show)
    d.addErrback(failed)
    d.addBoth(lambda _: reactor.stop())
    reactor.run()


{"server": server, "client": client}[sys.argv[1]](*sys.argv[2:])
