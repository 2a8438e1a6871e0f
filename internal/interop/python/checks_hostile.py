"""Streams that no program sends, and connections by the thousand. Everybody else's connection goes on."""

import gc
import socket
import ssl

from checking import PATIENCE, certificates, check, dial, eventually, same
from twisted.internet import defer, threads
from twisted.spread import pb


def number(n):
    out = b""
    while n:
        out, n = out + bytes([n & 127]), n >> 7
    return out or b"\0"


def items(n):
    return number(n) + b"\x80"


def text(s):
    return number(len(s)) + b"\x82" + s


def integer(n):
    return number(n) + b"\x81"


def word(n):
    return number(n) + b"\x87"


HELLO = text(b"pb") + items(2) + word(19) + integer(6)
NO_KEYWORDS = items(1) + word(5)


def call(method, *args, request=1):
    head = items(7) + word(26) + integer(request) + text(b"root") + text(method) + integer(1)
    return head + items(1 + len(args)) + word(11) + b"".join(args) + NO_KEYWORDS


class Stream:
    """A connection without Twisted."""

    def __init__(self, url):
        if url.scheme == "pb+unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE)
            self.sock.connect(url.path)
        else:
            self.sock = socket.create_connection((url.hostname, url.port), timeout=PATIENCE)
        if url.scheme == "pbs":
            context = ssl.create_default_context(cafile=certificates["ca"])
            if certificates["cert"]:
                context.load_cert_chain(certificates["cert"], certificates["key"])
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.got = b""

    def send(self, data):
        self.sock.sendall(data)

    def wait(self, what):
        while what not in self.got:
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError(f"closed before {what!r} came: {self.got!r}")
            self.got += data

    def wait_closed(self):
        try:
            while self.sock.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass


def refused(stream):
    """A check: after these bytes the server closes the connection, and another one goes on."""

    def on_thread(url):
        c = Stream(url)
        c.send(stream)
        c.wait_closed()

    def run(s):
        yield threads.deferToThread(on_thread, s.url)
        same((yield s.call("add", 1)), 11)

    return run


def hostile(name, stream):
    run = refused(stream)
    run.__name__ = name
    check("hostile")(run)


hostile("http_is_no_banana", b"GET / HTTP/1.1\r\nHost: somewhere-with-a-rather-long-name-to-fill-the-prefix.example\r\n\r\n")
hostile("profile_that_was_not_offered", text(b"perl") + items(2) + word(19) + integer(6))
hostile("another_version", text(b"pb") + items(2) + word(19) + integer(5))
hostile("bad_type_byte", HELLO + b"\x01\x99")
hostile("endless_header", HELLO + b"\x01" * 5000)
hostile("huge_string", HELLO + number(2**40) + b"\x82abc")
hostile("huge_list", HELLO + number(2**40) + b"\x80")
hostile("unknown_word_of_the_vocabulary", HELLO + items(2) + word(99) + integer(1))
hostile("bare_value_as_a_command", HELLO + integer(5))
hostile("command_that_is_a_number", HELLO + items(2) + integer(1) + integer(2))
hostile("decref_of_nothing", HELLO + items(2) + word(29) + integer(12345))
hostile("answer_to_no_call", HELLO + items(3) + word(27) + integer(77) + integer(1))
hostile("message_without_operands", HELLO + items(1) + word(26))


@check("hostile")
def unknown_command_is_answered(s):
    def on_thread():
        c = Stream(s.url)
        c.send(HELLO + items(2) + text(b"frobnicate") + integer(1) + call(b"add", integer(1)))
        c.wait(text(b"didNotUnderstand") + text(b"frobnicate"))
        c.wait(word(27) + integer(1) + integer(11))

    yield threads.deferToThread(on_thread)


@check("hostile")
def five_thousand_levels_fail_their_call(s):
    def on_thread():
        c = Stream(s.url)
        deep = (items(2) + word(8)) * 5000 + items(1) + word(8)
        c.send(HELLO + call(b"echo", deep) + call(b"add", integer(1), request=2))
        c.wait(word(28) + integer(1))
        c.wait(word(27) + integer(2) + integer(11))

    yield threads.deferToThread(on_thread)


@check("hostile")
def arguments_that_are_no_tuple(s):
    def on_thread():
        c = Stream(s.url)
        head = items(7) + word(26) + integer(1) + text(b"root") + text(b"echo") + integer(1)
        c.send(HELLO + head + integer(5) + NO_KEYWORDS + call(b"add", integer(1), request=2))
        c.wait(word(28) + integer(1))
        c.wait(word(27) + integer(2) + integer(11))

    yield threads.deferToThread(on_thread)


@check("hostile")
def silent_and_broken_connections(s):
    streams = [Stream(s.url) for _ in range(100)]
    for i, c in enumerate(streams):
        if i % 2:
            c.send((HELLO + call(b"echo", text(b"x" * 1000)))[: 10 * i])
        if i % 3 == 0:
            c.sock.close()
    same((yield s.call("add", 1)), 11)
    for c in streams:
        c.sock.close()
    yield eventually(lambda: s.call("stats").addCallback(lambda st: st["connections"] == 1), "they are gone")


@check("hostile")
def flood_that_is_not_read(s):
    before = (yield s.call("stats"))["heap"]

    def flood(n):
        c = Stream(s.url)
        c.sock.settimeout(1)
        big = call(b"echo", text(b"x" * 600000))
        sent = 0
        try:
            c.send(HELLO)
            for _ in range(n):
                c.send(big)
                sent += len(big)
        except (TimeoutError, OSError):
            pass
        return c, sent

    streams = yield defer.gatherResults([threads.deferToThread(flood, 200) for _ in range(5)])
    during = (yield s.call("stats"))["heap"]
    assert during < 200e6, during
    assert sum(sent for _, sent in streams) < 400e6, "everything was taken in"
    for c, _ in streams:
        c.sock.close()
    del streams, c

    def over(st):
        return st["connections"] == 1 and st["heap"] < before + 40e6

    yield eventually(lambda: s.call("stats").addCallback(over), "memory came back")


@check("hostile")
def messages_that_stop_halfway(s):
    """Each of them could have sixteen megabytes; together they may not."""
    before = (yield s.call("stats"))["heap"]

    def feed():
        c = Stream(s.url)
        c.sock.settimeout(1)
        try:
            c.send(HELLO + call(b"echo", items(26) + text(b"x" * 600000) * 25))
        except (TimeoutError, OSError):
            pass
        return c

    streams = yield defer.gatherResults([threads.deferToThread(feed) for _ in range(40)])
    during = (yield s.call("stats"))["heap"]
    assert during < 200e6, during
    same((yield s.call("add", 1)), 11)
    same((yield s.call("echo", b"y" * 200000)), b"y" * 200000)
    for c in streams:
        c.sock.close()

    def over(st):
        return st["connections"] == 1 and st["heap"] < before + 40e6

    yield eventually(lambda: s.call("stats").addCallback(over), "memory came back")


class Held(pb.Referenceable):
    pass


class churn:
    """How many connections come and go, by twenties."""

    connections = 1500


# 75 rounds, one after the other: on a machine that does much else they take some minutes.
@check("churn", patience=10 * PATIENCE)
def connections_by_the_thousand(s):
    """They hold counters, ponds and references of ours when they go; afterwards nothing is left of them."""
    yield s.call("pond", "churned", [1])
    gc.collect()
    # A connection of the check before may still be ending.
    yield eventually(lambda: s.call("stats").addCallback(lambda st: st["connections"] == 1), "they are gone")
    before = yield s.call("stats")

    @defer.inlineCallbacks
    def one(i):
        factory, connected = dial(s.url)
        root = yield connected
        kept = yield defer.gatherResults(
            [root.callRemote("counter"), root.callRemote("pond", "churned", []), root.callRemote("hold", "k", Held())]
        )
        root.callRemote("never").addErrback(lambda _: None)
        root.callRemote("later", 60000, "x").addErrback(lambda _: None)
        gone = defer.Deferred()
        root.broker.notifyOnDisconnect(lambda: gone.callback(None))
        if i % 2:
            root.broker.transport.abortConnection()
        else:
            factory.disconnect()
        yield gone
        return kept

    for _ in range(churn.connections // 20):
        yield defer.gatherResults([one(i) for i in range(20)])
    gc.collect()
    latest = {}

    def back(after):
        latest.update(after)
        # Those of the checks before may still have been there at the start.
        return (
            after["connections"] <= before["connections"]
            and after["exports"] == before["exports"]
            and after["goroutines"] <= before["goroutines"] + 5
            and after["heap"] <= before["heap"] + 4e6
        )

    yield eventually(
        lambda: s.call("stats").addCallback(back), lambda: f"stats are back where they began: {before}, then {latest}"
    )
    # A connection that is not listed any more may still let go of what it held.
    yield eventually(lambda: s.call("counters").addCallback(lambda n: n == 0), "nobody holds a counter")
    yield eventually(
        lambda: s.call("pondObservers", "churned").addCallback(lambda n: n == 0), "nobody observes the pond"
    )
