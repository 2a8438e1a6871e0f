"""Stock Twisted as the conformance server, for Go clients and for stock_client.py.

    stock_server.py [--listen HOST:PORT | --unix PATH] [--cert FILE --key FILE [--client-ca FILE]]
                    [--cred USER=PASSWORD]... [--anonymous]

Prints "port N" (or "listening PATH") when it is ready. With --cred or --anonymous the root is the login. With --cert it
speaks TLS, and with --client-ca it asks for certificates.
"""

import argparse
import gc
import sys
import threading
import time

from conformance import Counter, Custom, Expected, Point, Pond
from twisted.cred import checkers, portal
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import defer, reactor, task
from twisted.python import log
from twisted.spread import pb, util
from zope.interface import implementer

brokers = set()
ponds = {}
avatars = []


class Conformance(pb.Root):
    """One per connection; ponds and counters belong to the process."""

    def __init__(self, broker=None):
        self.broker = broker
        self.kept = {}
        self.cache = None

    def rootObject(self, broker):
        brokers.add(broker)
        broker.notifyOnDisconnect(lambda: brokers.discard(broker))
        return Conformance(broker)

    def remote_echo(self, x):
        return x

    def remote_add(self, a, b=10):
        return a + b

    def remote_kwargs(self, *args, **kw):
        return [list(args), kw]

    def remote_fail(self, kind, text=""):
        kinds = {"error": Exception, "typed": Custom, "panic": RuntimeError, "expected": Expected}
        raise kinds[kind](text)

    def remote_later(self, ms, x):
        return task.deferLater(reactor, ms / 1000, lambda: x)

    def remote_slow(self, ms):
        time.sleep(ms / 1000)

    def remote_never(self):
        return defer.Deferred()

    def remote_callback(self, ref, method, args):
        return ref.callRemote(method, *args)

    def remote_note(self, text):
        print("note", text)

    def remote_hold(self, key, ref):
        self.kept[key] = ref

    def remote_held(self, key):
        return self.kept[key]

    def remote_release(self, key):
        del self.kept[key]

    def remote_counter(self):
        return Counter()

    def remote_counters(self):
        gc.collect()
        return Counter.alive()

    def remote_point(self, x, y):
        return Point(x, y)

    def remote_takePoint(self, p):
        return [p.x, p.y]

    def remote_pond(self, name, items):
        return ponds.setdefault(name, Pond(items))

    def remote_pondAdd(self, name, item):
        ponds[name].add(item)

    def remote_pondRemove(self, name, item):
        ponds[name].remove(item)

    def remote_pondObservers(self, name):
        return len(ponds[name].observers)

    def remote_takePond(self, p):
        self.cache = p

    def remote_pondState(self):
        return list(self.cache.items)

    def remote_returnPond(self):
        return self.cache

    def remote_ignorePond(self):
        self.cache = None
        gc.collect()

    def remote_pages(self, collector, size, chunk):
        data = bytes(i % 251 for i in range(size))
        done = defer.Deferred()
        util.StringPager(collector, data, chunk, done.callback, None)
        return done

    def remote_collect(self, ref, method):
        done = defer.Deferred()
        collector = util.CallbackPageCollector(lambda pages: done.callback(sum(map(len, pages))))
        ref.callRemote(method, collector).addErrback(done.errback)
        return done

    def remote_stats(self):
        gc.collect()
        exports = [luid for luid in self.broker.localObjects if isinstance(luid, int)]
        return {
            "connections": len(brokers),
            "exports": len(exports),
            "goroutines": threading.active_count(),
            "heap": 0,
        }

    def remote_close(self):
        self.broker.transport.loseConnection()
        return defer.Deferred()


class Viewer(pb.Viewable):
    def view_whoami(self, perspective):
        return perspective.name


viewer = Viewer()


class User(pb.Avatar):
    def __init__(self, name, mind):
        self.name, self.mind = name, mind
        avatars.append(self)
        print("login", name)

    def logout(self):
        avatars.remove(self)
        print("logout", self.name)

    def perspective_whoami(self):
        return self.name

    def perspective_root(self):
        return Conformance()

    def perspective_viewable(self):
        return viewer

    def perspective_logins(self):
        return len(avatars)

    def perspective_callMind(self, method, args):
        return self.mind.callRemote(method, *args)


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, avatar_id, mind, *interfaces):
        if pb.IPerspective not in interfaces:
            raise NotImplementedError(interfaces)
        name = "anonymous" if avatar_id is checkers.ANONYMOUS else avatar_id
        if isinstance(name, bytes):
            name = name.decode()
        user = User(name, mind)
        return pb.IPerspective, user, user.logout


@implementer(checkers.ICredentialsChecker)
class Passwords:
    """Accepts names as bytes and as str, because peers send both."""

    credentialInterfaces = (pb.IUsernameMD5Password,)

    def __init__(self, known):
        self.known = known

    def requestAvatarId(self, credential):
        name = credential.username
        if isinstance(name, str):
            name = name.encode()
        if name in self.known and credential.checkPassword(self.known[name]):
            return name
        raise UnauthorizedLogin("name or password is wrong")


def tls_options(options):
    from twisted.internet import ssl

    def read(name):
        with open(name) as file:
            return file.read()

    mine = ssl.PrivateCertificate.loadPEM(read(options.cert) + read(options.key))
    if not options.client_ca:
        return mine.options()
    return mine.options(ssl.Certificate.loadPEM(read(options.client_ca)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--unix")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--cred", action="append", default=[])
    parser.add_argument("--anonymous", action="store_true")
    options = parser.parse_args()
    log.startLogging(sys.stderr, setStdout=False)

    root = Conformance()
    if options.cred or options.anonymous:
        root = portal.Portal(Realm())
        known = dict(pair.encode().split(b"=", 1) for pair in options.cred)
        if known:
            root.registerChecker(Passwords(known))
        if options.anonymous:
            root.registerChecker(checkers.AllowAnonymousAccess())
    factory = pb.PBServerFactory(root)
    if options.unix:
        reactor.listenUNIX(options.unix, factory)
        print("listening", options.unix)
    else:
        host, _, port = options.listen.rpartition(":")
        if options.cert:
            listening = reactor.listenSSL(int(port), factory, tls_options(options), interface=host)
        else:
            listening = reactor.listenTCP(int(port), factory, interface=host)
        print("port", listening.getHost().port)
    reactor.run()


main()
