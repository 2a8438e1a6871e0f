"""Publishes pages: getPage, write, fetched, and setBack, which makes the page older than what was kept of it."""

from pages import Page
from twisted.internet import reactor
from twisted.spread import pb


class Press(pb.Root):
    def __init__(self):
        self.page = Page("front", "first")

    def remote_getPage(self):
        return self.page

    def remote_write(self, text):
        self.page.text = text
        self.page.republish()

    def remote_fetched(self):
        return self.page.fetched

    def remote_setBack(self, text):
        self.page.text = text
        self.page.timestamp -= 3600


port = reactor.listenTCP(0, pb.PBServerFactory(Press()), interface="127.0.0.1")
print("port", port.getHost().port)
reactor.run()
