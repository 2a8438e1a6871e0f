"""The client of the page login.md."""
import sys

from twisted.cred import credentials, error
from twisted.internet import defer, endpoints, task
from twisted.spread import pb


#guide:begin client
class Screen(pb.Referenceable):
    def remote_heard(self, text):
        print("heard", text)


@defer.inlineCallbacks
def login(reactor, address):
    factory = pb.PBClientFactory()
    yield endpoints.clientFromString(reactor, "tcp:" + address).connect(factory)
    alice = credentials.UsernamePassword(b"alice", b"sesame")
    avatar = yield factory.login(alice, client=Screen())
    room = yield avatar.callRemote("join")
    n = yield room.callRemote("say", "good morning")
    print(n, "lines")
#guide:end
    try:
        yield factory.login(credentials.UsernamePassword(b"alice", b"guess"))
    except pb.RemoteError as e:
        assert "UnauthorizedLogin" in str(e.remoteType), e.remoteType
        print("refused")
    except error.UnauthorizedLogin:
        print("refused")


task.react(login, sys.argv[1:])
