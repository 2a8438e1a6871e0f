"""What the checks of stock_client.py have in common."""

import collections
import gc

from twisted.internet import defer, reactor, task
from twisted.spread import pb

# How long one check may take before it has failed; 10,000 calls take stock some seconds.
PATIENCE = 60

Check = collections.namedtuple("Check", "name group function patience")
registered = []


def check(group, patience=PATIENCE):
    """Registers a generator function of one argument, the session, as a check under its own name."""

    def register(function):
        registered.append(Check(function.__name__, group, defer.inlineCallbacks(function), patience))
        return function

    return register


class Session:
    """One connection to the server under test."""

    def __init__(self, url):
        self.url = url
        self.root = None
        self.broker = None
        self.factory = None

    @defer.inlineCallbacks
    def run(self, check):
        yield self.connect()
        yield check.function(self).addTimeout(check.patience, reactor)

    def connect(self):
        self.factory, connected = dial(self.url)

        def have(root):
            self.root = root
            self.broker = root.broker

        return connected.addCallback(have)

    def close(self):
        """Fires once the connection has gone, so that checks do not see each other's."""
        if self.broker is None or self.broker.disconnected:
            return defer.succeed(None)
        gone = defer.Deferred()
        self.broker.notifyOnDisconnect(lambda: gone.callback(None))
        self.factory.disconnect()
        return gone

    def call(self, method, *args, **kw):
        return self.root.callRemote(method, *args, **kw)

    def exported(self, obj):
        """How often the server holds this object of ours."""
        luid = self.broker.luids.get(obj.processUniqueID())
        return 0 if luid is None else self.broker.localObjects[luid].refcount


# What stock_client.py was told of certificates: files for pbs:// URLs.
certificates = {"ca": None, "cert": None, "key": None}


def tls_options(hostname):
    """Trusts the authority of --ca, and shows the certificate of --cert if there is one."""
    from twisted.internet import ssl

    def read(name):
        with open(certificates[name]) as file:
            return file.read()

    mine = None
    if certificates["cert"]:
        mine = ssl.PrivateCertificate.loadPEM(read("cert") + read("key"))
    return ssl.optionsForClientTLS(hostname, trustRoot=ssl.Certificate.loadPEM(read("ca")), clientCertificate=mine)


def dial(url):
    """Connects once more; the caller sees to the end of it."""
    factory = pb.PBClientFactory()
    if url.scheme == "pbs":
        reactor.connectSSL(url.hostname, url.port, factory, tls_options("localhost"))
    elif url.scheme == "pb+unix":
        reactor.connectUNIX(url.path, factory)
    else:
        reactor.connectTCP(url.hostname, url.port or pb.portno, factory)
    return factory, factory.getRootObject().addTimeout(PATIENCE, reactor)


@defer.inlineCallbacks
def eventually(condition, what):
    """Waits until condition() is true, or what it returns comes true. Collects garbage as it waits. what says what is
    waited for, or is a function that says it and how far it is."""
    for _ in range(PATIENCE * 20):
        gc.collect()
        if (yield defer.maybeDeferred(condition)):
            return
        yield task.deferLater(reactor, 0.05, lambda: None)
    raise AssertionError("never came true: " + (what() if callable(what) else what))


def same(got, want):
    """Equality that also compares types, all the way down."""
    if type(got) is not type(want):
        raise AssertionError(f"got {got!r} ({type(got).__name__}), want {want!r} ({type(want).__name__})")
    if isinstance(want, (list, tuple)):
        if len(got) != len(want):
            raise AssertionError(f"got {got!r}, want {want!r}")
        for g, w in zip(got, want):
            same(g, w)
    elif isinstance(want, dict):
        if {(type(k), k) for k in got} != {(type(k), k) for k in want}:
            raise AssertionError(f"got keys {list(got)!r}, want {list(want)!r}")
        for key in want:
            same(got[key], want[key])
    elif got != want and not (got != got and want != want):
        raise AssertionError(f"got {got!r}, want {want!r}")


def trapped(deferred, *kinds):
    """The call must fail with one of these kinds, as Twisted's own check sees it; fires with a Caught.

    This is no generator, because inlineCallbacks turns a remote failure into a RemoteError.
    """

    def unexpected(value):
        raise AssertionError(f"the call answered {value!r} and should have failed")

    def check(failure):
        if failure.check(AssertionError) and "should have failed" in failure.getErrorMessage():
            return failure
        if failure.check(*kinds) is None:
            raise AssertionError(
                f"failed with {failure.type!r} {failure.getErrorMessage()!r} "
                f"(parents {failure.parents}), want {kinds}"
            )
        return Caught(failure)

    return deferred.addCallback(unexpected).addErrback(check)


class Caught:
    """A failure as a plain value: Deferreds would take a Failure as one more error."""

    def __init__(self, failure):
        self.failure = failure
        self.message = failure.getErrorMessage()
        self.parents = failure.parents
        kind = failure.type
        self.type = kind.decode() if isinstance(kind, bytes) else kind
