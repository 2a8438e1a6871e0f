"""Serves twisted.words over PB with the stock classes, one group, and the users of the arguments: USER=PW…"""

import sys

from twisted.cred import checkers, portal
from twisted.internet import reactor
from twisted.spread import pb
from twisted.words import service

realm = service.InMemoryWordsRealm("words")
realm.addGroup(service.Group("lobby"))
users = checkers.InMemoryUsernamePasswordDatabaseDontUse()
for pair in sys.argv[1:]:
    name, password = pair.split("=")
    users.addUser(name.encode(), password.encode())
port = reactor.listenTCP(0, pb.PBServerFactory(portal.Portal(realm, [users])), interface="127.0.0.1")
print("port %d" % port.getHost().port, flush=True)
reactor.run()
