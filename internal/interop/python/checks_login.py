"""Logging in: user=password is "moe=secret", and anonymous users are let in."""

from checking import check, dial, eventually, same, trapped
from twisted.cred.credentials import Anonymous, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.spread import pb

MOE = UsernamePassword(b"moe", b"secret")


class Mind(pb.Referenceable):
    def remote_whatNow(self, n):
        return n + 1


@check("login")
def login_with_password(s):
    avatar = yield s.factory.login(MOE, Mind())
    same((yield avatar.callRemote("whoami")), "moe")
    root = yield avatar.callRemote("root")
    same((yield root.callRemote("add", 1)), 11)


@check("login")
def login_anonymously(s):
    avatar = yield s.factory.login(Anonymous(), None)
    same((yield avatar.callRemote("whoami")), "anonymous")


@check("login")
def wrong_password_is_refused(s):
    caught = yield trapped(s.factory.login(UsernamePassword(b"moe", b"guess")), UnauthorizedLogin)
    same(caught.type, "twisted.cred.error.UnauthorizedLogin")
    yield trapped(s.factory.login(UsernamePassword(b"nobody", b"secret")), UnauthorizedLogin)


def alone(avatar):
    """Waits until this user is the only one: those of the checks before may still be leaving."""
    return eventually(lambda: avatar.callRemote("logins").addCallback(lambda n: n == 1), "the others logged out")


@check("login")
def viewable_knows_its_caller(s):
    avatar = yield s.factory.login(MOE, None)
    view = yield avatar.callRemote("viewable")
    same((yield view.callRemote("whoami")), "moe")
    factory, connected = dial(s.url)
    yield connected
    other = yield factory.login(Anonymous(), None)
    view = yield other.callRemote("viewable")
    same((yield view.callRemote("whoami")), "anonymous")
    factory.disconnect()
    yield alone(avatar)


@check("login")
def letting_go_logs_out(s):
    watcher = yield s.factory.login(MOE, None)
    yield alone(watcher)
    factory, connected = dial(s.url)
    yield connected
    other = yield factory.login(Anonymous(), None)
    same((yield watcher.callRemote("logins")), 2)
    del other
    yield alone(watcher)
    factory.disconnect()
