"""Plays a server of PyBridge: class names, caches, Viewables, copies and failures are PyBridge's.

It knows the user "anna" with the password "pw". Other accounts are registered by a user who has logged in with an empty
name and password.
"""

from twisted.cred import checkers, credentials, error, portal
from twisted.internet import defer, reactor
from twisted.spread import pb
from zope.interface import implementer

accounts = {b"anna": b"pw"}


def module(name):
    def set_module(cls):
        cls.__module__ = "pybridge." + name
        return cls

    return set_module


@module("network.error")
class DeniedRequest(pb.Error):
    pass


@module("network.error")
class IllegalRequest(pb.Error):
    pass


@module("network.error")
class GameError(pb.Error):
    pass


class Symbol(pb.Copyable, pb.RemoteCopy):
    """A level, strain or direction. The state is a tuple of the class's name and the value."""

    def __init__(self, value=None):
        self.value = value

    def getStateToCopy(self):
        return type(self).__name__, self.value

    def setCopyableState(self, state):
        assert state[0] == type(self).__name__, state
        self.value = state[1]

    def __eq__(self, other):
        return type(self) is type(other) and self.value == other.value

    def __hash__(self):
        # A copy is hashed as a dictionary's key before its state has come.
        return hash(type(self).__name__)


@module("games.bridge.symbols")
class Level(Symbol):
    pass


@module("games.bridge.symbols")
class Strain(Symbol):
    pass


@module("games.bridge.symbols")
class Direction(Symbol):
    pass


@module("games.bridge.call")
class Bid(pb.Copyable, pb.RemoteCopy):
    def __init__(self, level=None, strain=None):
        self.level, self.strain = level, strain

    def getStateToCopy(self):
        return self.level, self.strain

    def setCopyableState(self, state):
        self.level, self.strain = state


@module("games.bridge.call")
class Pass(pb.Copyable, pb.RemoteCopy):
    pass


@module("network.chat")
class Message(pb.Copyable, pb.RemoteCopy):
    def __init__(self, text=None, sender=None):
        self.text, self.sender, self.recipients = text, sender, []


for cls in Level, Strain, Direction, Bid, Pass, Message:
    pb.setUnjellyableForClass(cls, cls)


class Observed(pb.Cacheable):
    def __init__(self):
        self.observers = {}

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers[observer] = perspective
        return self.state(perspective)

    def stoppedObserving(self, perspective, observer):
        self.observers.pop(observer, None)
        self.left(perspective)

    def left(self, perspective):
        pass

    def notify(self, method, **kw):
        for observer in list(self.observers):
            observer.callRemote(method, **kw)


@module("network.usermanager")
class LocalUserManager(Observed):
    def __init__(self):
        Observed.__init__(self)
        self.users = {}

    def state(self, perspective):
        return {name: {"country": "?"} for name in self.users}

    def userLogin(self, user):
        self.users[user.name] = user
        self.notify("userLogin", username=user.name, info={"country": "?"})

    def userLogout(self, user):
        del self.users[user.name]
        self.notify("userLogout", username=user.name)


@module("network.chat")
class LocalChat(Observed):
    def __init__(self):
        Observed.__init__(self)
        self.messages = []
        self.view = LocalChatViewable()
        self.view.chat = self

    def state(self, perspective):
        return {"messages": self.messages, "view": self.view}


@module("network.chat")
class LocalChatViewable(pb.Viewable):
    def view_send(self, user, text, recipients=[]):
        message = Message(text, user.name)
        self.chat.messages.append(message)
        self.chat.notify("gotMessage", message=message)


@module("network.localtable")
class LocalTable(Observed):
    def __init__(self, name):
        Observed.__init__(self)
        self.id, self.chat, self.players, self.calls = name, LocalChat(), {}, []
        self.view = LocalTableViewable()
        self.view.table = self

    def state(self, perspective):
        # To call an observer here would reset the perspective under which the state is being sent.
        others = [o for o, p in self.observers.items() if p is not perspective]
        for observer in others:
            reactor.callLater(0, observer.callRemote, "joinTable", observer=perspective.name)
        return {
            "id": self.id, "gametype": "BridgeGame", "chat": self.chat, "view": self.view,
            "players": dict(self.players), "observers": [p.name for p in self.observers.values()],
        }

    def left(self, perspective):
        self.notify("leaveTable", observer=perspective.name)


@module("network.localtable")
class LocalTableViewable(pb.Viewable):
    def view_joinGame(self, user, position):
        if not isinstance(position, Direction):
            raise IllegalRequest("Invalid position provided")
        if position in self.table.players:
            raise DeniedRequest("Position already taken")
        self.table.players[position] = user.name
        self.table.notify("joinGame", player=user.name, position=position)

    def view_makeCall(self, user, call):
        if not isinstance(call, (Bid, Pass)):
            raise GameError("Not a call")
        position = [p for p, name in self.table.players.items() if name == user.name][0]
        self.table.calls.append(call)
        self.table.notify("gameUpdate", event="makeCall", call=call, position=position)


@module("network.tablemanager")
class LocalTableManager(Observed):
    def __init__(self):
        Observed.__init__(self)
        self.tables = {}

    def state(self, perspective):
        return {name: {"game": "BridgeGame"} for name in self.tables}


users, tables = LocalUserManager(), LocalTableManager()


class User(pb.Avatar):
    def __init__(self, name):
        self.name = name

    def perspective_getRoster(self, name):
        rosters = {"users": users, "tables": tables}
        if name not in rosters:
            raise IllegalRequest("Unknown roster name")
        return rosters[name]

    def perspective_hostTable(self, tableid, tabletype):
        if tableid in tables.tables:
            raise DeniedRequest("Table name exists")
        tables.tables[tableid] = LocalTable(tableid)
        tables.notify("tableOpen", tableid=tableid, info={"game": tabletype})
        return self.perspective_joinTable(tableid)

    def perspective_joinTable(self, tableid):
        if tableid not in tables.tables:
            raise DeniedRequest("No such table")
        return tables.tables[tableid]


class Anonymous(pb.Avatar):
    def perspective_register(self, username, password):
        if username.encode() in accounts:
            raise DeniedRequest("Username already registered")
        accounts[username.encode()] = password.encode()


@implementer(checkers.ICredentialsChecker)
class Checker:
    credentialInterfaces = (credentials.IUsernameHashedPassword,)

    def requestAvatarId(self, cred):
        if cred.username == b"":
            return checkers.ANONYMOUS
        password = accounts.get(cred.username)
        if password is None or not cred.checkPassword(password):
            return defer.fail(error.UnauthorizedLogin())
        return cred.username.decode()


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, name, mind, *interfaces):
        if name is checkers.ANONYMOUS:
            return pb.IPerspective, Anonymous(), lambda: None
        user = User(name)
        users.userLogin(user)
        return pb.IPerspective, user, lambda: users.userLogout(user)


port = reactor.listenTCP(0, pb.PBServerFactory(portal.Portal(Realm(), [Checker()])), interface="127.0.0.1")
print("port", port.getHost().port)
reactor.run()
