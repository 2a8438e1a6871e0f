"""A server of twisted.words.service: words_server.py USER=PASSWORD... Its group is "lobby"."""

import sys

from twisted.cred import checkers, portal
from twisted.internet import reactor
from twisted.spread import pb
from twisted.words import service

realm = service.InMemoryWordsRealm("stock")
realm.addGroup(service.Group("lobby"))
users = {name: password.encode() for name, password in (pair.split("=") for pair in sys.argv[1:])}
checker = checkers.InMemoryUsernamePasswordDatabaseDontUse(**users)
port = reactor.listenTCP(0, pb.PBServerFactory(portal.Portal(realm, [checker])), interface="127.0.0.1")
print("port", port.getHost().port)
reactor.run()
