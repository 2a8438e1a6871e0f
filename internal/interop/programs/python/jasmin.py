"""Plays the login of the Jasmin SMS gateway: a refused login is an answer, and names are text."""

import pickle

from twisted.cred import checkers, credentials, error, portal
from twisted.internet import reactor
from twisted.spread import pb
from zope.interface import implementer


class Avatar(pb.Avatar):
    def perspective_version_release(self):
        return "0.10"

    def perspective_user_get_all(self):
        return pickle.dumps(["anna"], 2)


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, name, mind, *interfaces):
        return pb.IPerspective, Avatar(), lambda: None


class Challenger(pb._PortalAuthChallenger):
    def remote_respond(self, response, mind):
        d = pb._PortalAuthChallenger.remote_respond(self, response, mind)
        return d.addErrback(lambda f: f.trap(error.UnauthorizedLogin) and (False, "Authentication error " + self.name))


class Root(pb.Root):
    def rootObject(self, broker):
        self.broker = broker
        return self

    def remote_login(self, username):
        assert isinstance(username, str), username
        challenge = pb.challenge()
        challenger = Challenger(gate, self.broker, username.encode(), challenge)
        challenger.name = username
        return challenge, challenger


checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(radmin=b"rpwd")
checker.credentialInterfaces += (credentials.IUsernameHashedPassword,)
gate = portal.Portal(Realm(), [checker])
port = reactor.listenTCP(0, pb.PBServerFactory(Root()), interface="127.0.0.1")
print("port", port.getHost().port)
reactor.run()
