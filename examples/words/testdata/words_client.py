"""A client of twisted.words.service that joins "lobby" and prints what it hears.

    words_client.py PORT USER PASSWORD

It says the first "echo" back, says "hello" when somebody joins, leaves the group when it hears "leave", and ends its
connection without leaving when it hears "vanish".
"""

import sys

from twisted.cred import credentials
from twisted.internet import defer, reactor
from twisted.spread import pb
from twisted.words import service


class Mind(service.PBMind):
    echoed = False
    group = None
    numbers = None

    def number(self, user):
        self.numbers = self.numbers or []
        if user not in self.numbers:
            self.numbers.append(user)
        return self.numbers.index(user)

    def remote_userJoined(self, group, user):
        print("joined", group.name, self.number(user), group == self.group)
        return self.group.send({"text": "hello"})

    def remote_userLeft(self, group, user, reason):
        print("left", group.name, self.number(user), reason)

    def remote_receive(self, sender, recipient, message):
        text = message["text"]
        print("heard", recipient.name, self.number(sender), text, sorted(message))
        if text == "echo" and not self.echoed:
            self.echoed = True
            reactor.callLater(0, self.group.send, {"text": text})
        elif text == "leave":
            d = self.group.leave("tired")
            d.addCallback(lambda _: self.group.send({"text": "from beyond"}))
            d.addBoth(lambda answer: print("gone", getattr(answer, "type", answer)))
        elif text == "vanish":
            reactor.callLater(0, reactor.stop)


@defer.inlineCallbacks
def main(port, user, password):
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", int(port), factory)
    mind = Mind()
    # A reference to the avatar that is dropped logs out.
    avatar = mind.avatar = yield factory.login(credentials.UsernamePassword(user.encode(), password.encode()), mind)
    print("logged in", type(avatar).__name__)
    try:
        yield avatar.join("nowhere")
    except Exception as e:
        print("refused", e.remoteType, e)
    mind.group = yield avatar.join("LOBBY")
    again = yield avatar.join("lobby")
    print("member", type(mind.group).__name__, mind.group.name, again == mind.group)
    yield mind.group.send({"text": "ready", "isAction": True})


main(*sys.argv[1:]).addErrback(lambda f: (f.printTraceback(), reactor.stop()))
reactor.run()
