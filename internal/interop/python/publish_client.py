"""Keeps a page over sessions: publish_client.py HOST:PORT DIRECTORY. Each session prints one line: the text and whether it was kept."""

import os
import sys

import pages  # so that what is kept can be read
from twisted.internet import reactor
from twisted.spread import pb, publish


def main():
    host, _, port = sys.argv[1].rpartition(":")
    os.chdir(sys.argv[2])

    def got(page):
        print("page", page.text, page._wasCleanWhenLoaded, pages.__name__)

    factory = pb.PBClientFactory()
    reactor.connectTCP(host, int(port), factory)
    d = factory.getRootObject()
    d.addCallback(lambda root: publish.whenReady(root.callRemote("getPage")))
    d.addCallback(got)
    d.addErrback(lambda why: print("failed", why))
    d.addBoth(lambda _: reactor.stop())
    reactor.run()


main()
