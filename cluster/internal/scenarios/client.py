"""Users of a cluster, on stock Twisted, that do what a Go test tells them.

It reads commands from standard input, one JSON object a line, and writes answers and events to standard output, one JSON
object a line. It begins a command when it has read it and does not wait for the ones before. It ends with its input.

    {"id": 1, "do": "login", "user": "u", "host": "127.0.0.1", "port": 1, "name": "alice", "password": "x"}
    {"id": 2, "do": "call", "user": "u", "on": "avatar", "method": "room", "args": ["lobby"], "store": "lobby"}
    {"id": 2, "began": 12.5, "ended": 12.6, "value": {"ref": "lobby"}}
    {"event": "heard", "user": "u", "target": "me", "args": ["alice", "hello"]}

A value is JSON; a list is a list, and an object with one of these keys is something else:

    {"ref": NAME}        what was stored under that name; in answers a reference, the same name for the same object
    {"local": NAME}      an object of this user; it is made when it is first named
    {"copy": {...}}      a copy of class scenarios.Thing, which no node knows, with that state
    {"cache": NAME}      in answers: a board
    {"tuple": [...]}, {"bytes": HEX}, {"dict": [[KEY, VALUE], ...]}, {"repeat": [TEXT, TIMES]}
"""

import gc
import json
import os
import sys
import threading
import time

from twisted.cred import credentials
from twisted.internet import defer, reactor
from twisted.python import failure, reflect
from twisted.spread import pb


class Thing(pb.Copyable, pb.RemoteCopy):
    """A class that only the clients know."""

    typeToCopy = b"scenarios.Thing"

    def __init__(self, **state):
        self.__dict__.update(state)

    def getTypeToCopyFor(self, perspective):
        return self.typeToCopy


pb.setUnjellyableForClass("scenarios.Thing", Thing)

pb.MAX_BROKER_REFS = 1 << 20  # The users' own limit is not what is tested.


class Board(pb.RemoteCache):
    """A copy of a room's board."""

    def setCopyableState(self, state):
        self.items = list(state)
        self.user = None

    def observe_add(self, item):
        self.items.append(item)
        if self.user is not None:
            emit(event="added", user=self.user.key, target=self.name, args=[item])


pb.setUnjellyableForClass("cluster.Board", Board)


class Local(pb.Referenceable):
    """An object of the client. It tells the test what is called."""

    def __init__(self, user, name):
        self.user, self.name, self.calls = user, name, 0

    def remoteMessageReceived(self, broker, message, args, kw):
        self.calls += 1
        if isinstance(message, bytes):
            message = message.decode()
        args = broker.unserialize(args)
        broker.unserialize(kw)
        values = [self.user.decoded(v) for v in args]
        emit(event=message, user=self.user.key, target=self.name, args=values)
        if message == "fail":
            raise pb.Error("as asked")
        answer = args[0] if message == "give" and args else None
        return broker.serialize(answer, None)


def emit(**line):
    line["at"] = time.time()
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def text(kind):
    """The name of a class, which may be one of a copied failure."""
    if isinstance(kind, bytes):
        return kind.decode()
    return kind if isinstance(kind, str) else reflect.qual(kind)


class User:
    def __init__(self, key):
        self.key = key
        self.things = {}
        self.locals = {}
        self.names = {}
        self.count = 0
        self.held = []
        self.factory = None

    def local(self, name):
        if name not in self.locals:
            self.locals[name] = Local(self, name)
        return self.locals[name]

    def encoded(self, value):
        if isinstance(value, list):
            return [self.encoded(v) for v in value]
        if not isinstance(value, dict):
            return value
        ((kind, of),) = value.items()
        if kind == "ref":
            return self.things[of]
        if kind == "local":
            return self.local(of)
        if kind == "copy":
            return Thing(**{k: self.encoded(v) for k, v in of.items()})
        if kind == "tuple":
            return tuple(self.encoded(v) for v in of)
        if kind == "bytes":
            return bytes.fromhex(of)
        if kind == "dict":
            return {self.encoded(k): self.encoded(v) for k, v in of}
        if kind == "repeat":
            return of[0] * of[1]
        raise ValueError(kind)

    def named(self, value, name=None):
        """The name of an object that has been received."""
        key = value.luid
        if name is None:
            name = self.names.get(key)
        if name is None:
            self.count += 1
            name = "#%d" % self.count
        self.names.setdefault(key, name)
        self.things[name] = value
        return self.names[key]

    def decoded(self, value, name=None):
        if isinstance(value, pb.RemoteReference):
            return {"ref": self.named(value, name)}
        if isinstance(value, Board):
            name = self.named(value, name)
            value.user, value.name = self, name
            return {"cache": name, "items": list(value.items)}
        if isinstance(value, Local):
            return {"local": value.name}
        if isinstance(value, Thing):
            return {"copy": {k: self.decoded(v) for k, v in sorted(value.__dict__.items())}}
        if isinstance(value, list):
            return [self.decoded(v) for v in value]
        if isinstance(value, tuple):
            return {"tuple": [self.decoded(v) for v in value]}
        if isinstance(value, bytes):
            return {"bytes": value.hex()}
        if isinstance(value, dict):
            return {"dict": [[self.decoded(k), self.decoded(v)] for k, v in sorted(value.items())]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return {"other": reflect.qual(type(value))}

    # Commands. Each returns a value or a Deferred.

    def do_login(self, c):
        self.factory = pb.PBClientFactory(unsafeTracebacks=False)
        self.factory.clientConnectionLost = self.lost
        connector = reactor.connectTCP(c["host"], c["port"], self.factory)
        self.connector = connector
        creds = credentials.UsernamePassword(c["name"].encode(), c["password"].encode())
        d = self.factory.login(creds, self.local("mind"))
        return d.addCallback(lambda avatar: self.decoded(avatar, "avatar"))

    def lost(self, connector, reason, reconnecting=0):
        pb.PBClientFactory.clientConnectionLost(self.factory, connector, reason)
        emit(event="disconnected", user=self.key)

    def do_call(self, c):
        args = [self.encoded(a) for a in c.get("args", ())]
        kw = {k: self.encoded(v) for k, v in c.get("kw", {}).items()}
        d = self.things[c["on"]].callRemote(c["method"], *args, **kw)
        return d.addCallback(lambda v: self.decoded(v, c.get("store")))

    def do_drop(self, c):
        for name in c["names"]:
            value = self.things.pop(name)
            self.names.pop(value.luid, None)
            del value
        gc.collect()

    def do_release(self, c):
        """Drop what a flood holds."""
        self.held.clear()
        gc.collect()

    def do_items(self, c):
        return list(self.things[c["on"]].items)

    def do_watch(self, c):
        name = c["on"]
        self.things[name].notifyOnDisconnect(lambda ref: emit(event="gone", user=self.key, target=name))

    def do_calls(self, c):
        return self.local(c["on"]).calls

    def do_pause(self, c):
        self.connector.transport.pauseProducing()

    def do_resume(self, c):
        self.connector.transport.resumeProducing()

    def do_disconnect(self, c):
        self.connector.disconnect()

    def do_abort(self, c):
        self.connector.transport.abortConnection()

    def do_flood(self, c):
        """Make many calls, and tell how many were answered, and how many failed with what.

        A # in an argument is the number of the call. The results are held if "hold" is true. With "then", each result
        is called with that method and no arguments. No more than "window" calls are unanswered, if there is one.
        """
        left, ended, done = c["times"], {}, defer.Deferred()
        begun, window, text_of_args = 0, c.get("window", c["times"]), json.dumps(c.get("args", ()))

        def end(value):
            nonlocal left
            kind = text(value.type) if isinstance(value, failure.Failure) else "answered"
            ended[kind] = ended.get(kind, 0) + 1
            left -= 1
            if c.get("hold") and not isinstance(value, failure.Failure):
                self.held.append(value)
            if not left:
                done.callback({"dict": sorted([k, v] for k, v in ended.items())})
            elif begun < c["times"]:
                reactor.callLater(0, begin)

        def begin():
            nonlocal begun
            if begun == c["times"]:
                return
            args = [self.encoded(a) for a in json.loads(text_of_args.replace("#", str(begun)))]
            begun += 1
            d = self.things[c["on"]].callRemote(c["method"], *args)
            if "then" in c:
                d.addCallback(lambda ref: ref.callRemote(c["then"]))
            d.addBoth(end)

        for _ in range(min(window, c["times"])):
            begin()
        return done


users = {}


def begin(c):
    user = users.get(c["user"])
    if user is None:
        user = users[c["user"]] = User(c["user"])
    began = time.time()
    d = defer.maybeDeferred(getattr(user, "do_" + c["do"]), c)

    def ended(value):
        line = {"id": c["id"], "began": began, "ended": time.time()}
        if isinstance(value, failure.Failure):
            line.update(error=text(value.type), text=text(value.getErrorMessage()),
                        parents=[text(p) for p in value.parents])
        else:
            line["value"] = value
        emit(**line)

    d.addBoth(ended)


def read():
    for line in sys.stdin:
        reactor.callFromThread(begin, json.loads(line))
    os._exit(0)


threading.Thread(target=read, daemon=True).start()
emit(event="ready", user="")
reactor.run()
