"""The client of the page connections.md."""
import sys

from twisted.internet import defer, endpoints, ssl, task
from twisted.spread import pb


#guide:begin client
@defer.inlineCallbacks
def call(reactor, address, ca_file):
    host, port = address.split(":")
    with open(ca_file) as f:
        trusted = ssl.Certificate.loadPEM(f.read())
    options = ssl.optionsForClientTLS(host, trustRoot=trusted)
    endpoint = endpoints.wrapClientTLS(options, endpoints.HostnameEndpoint(reactor, host, int(port)))
    factory = pb.PBClientFactory()
    yield endpoint.connect(factory)
    root = yield factory.getRootObject()
    print((yield root.callRemote("price", "plums")))
#guide:end


task.react(call, sys.argv[1:])
