"""Plays the lobby of kajongg's server on a Unix socket: kajongg.py SOCKET."""

import sys

from twisted.cred import checkers, credentials, error, portal
from twisted.internet import defer, reactor
from twisted.spread import pb
from zope.interface import implementer

MARK = "&&SERVER&&"
users, tables, rulesets = {}, {}, {}


def message(*args):
    return MARK + MARK.join(str(a) for a in args) + MARK


@implementer(checkers.ICredentialsChecker)
class Checker:
    credentialInterfaces = (credentials.IUsernameHashedPassword,)

    def requestAvatarId(self, cred):
        parts = cred.username.decode().split(MARK)
        name = parts[0]
        if parts[0] == "adduser":
            name = parts[1]
            users.setdefault(name, parts[2])
        if name not in users:
            return defer.fail(error.UnauthorizedLogin(message("Wrong username: %1", name)))
        if not cred.checkPassword(users[name].encode()):
            return defer.fail(error.UnauthorizedLogin(message("Wrong password")))
        return name


class User(pb.Avatar):
    def __init__(self, name, mind):
        self.name, self.mind = name, mind

    def perspective_ping(self):
        return None

    def perspective_setClientProperties(self, ident, voice, max_game, version=None):
        if version != 8301:
            raise pb.Error(message("Your client has a version older than 4.9.0", 8301))

    @defer.inlineCallbacks
    def perspective_newTable(self, ruleset, play_open, auto_play, wanted, table_id=None):
        if table_id in tables:
            raise pb.Error("id=%d is already used" % table_id)
        if ruleset not in rulesets:
            rules = yield self.mind.callRemote("needRuleset", ruleset)
            assert rules[0][1] == ruleset and rules[1][7] == 0.0, rules
            rulesets[ruleset] = rules
        new = table_id or len(tables) + 1
        tables[new] = ruleset
        row = [new, ruleset, None, None, False, play_open, auto_play, wanted, (self.name,), (True,), None]
        yield self.mind.callRemote("newTables", [row])
        return new

    def perspective_joinTable(self, table_id):
        if table_id not in tables:
            raise pb.Error(message("table with id <numid>%1</numid> not found", table_id))
        return True

    def perspective_leaveTable(self, table_id):
        tables.pop(table_id, None)
        return True

    def perspective_chat(self, line):
        tables[line[0]]
        self.mind.callRemote("chat", line)

    def perspective_logout(self):
        self.mind.callRemote("serverDisconnects")


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, name, mind, *interfaces):
        return pb.IPerspective, User(name, mind), lambda: None


reactor.listenUNIX(sys.argv[1], pb.PBServerFactory(portal.Portal(Realm(), [Checker()])))
print("ready")
reactor.run()
