"""What is published between the publish programs, and what keeps it."""

from twisted.spread import pb, publish


class Page(publish.Publishable):
    """A page, which whoever has seen it keeps until it is published anew."""

    def __init__(self, name, text):
        publish.Publishable.__init__(self, name)
        self.text = text
        self.fetched = 0

    def getStateToPublish(self):
        self.fetched += 1
        return {"text": self.text}


class RemotePage(publish.RemotePublished):
    """A kept page."""


pb.setUnjellyableForClass("pages.Page", RemotePage)
