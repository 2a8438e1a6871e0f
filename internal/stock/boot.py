"""Runs one script under stock Twisted for a Go test.

    boot.py [--port-map HOST:PORT] SCRIPT [ARG...]

It adds two things and changes nothing else. The program ends when its standard input closes, because that
pipe is held by the test and closes when the test is gone. With --port-map every listenTCP takes a free
port on the loopback and prints "port N", and every connectTCP goes to HOST:PORT (port 0: connecting is
left alone), so that a listing with a port written into it can meet a peer that stands elsewhere.
"""

import os
import runpy
import sys
import threading


def end_with_the_test():
    try:
        while os.read(0, 4096):
            pass
    finally:
        os._exit(143)


def map_ports(host, port):
    from twisted.internet import reactor

    listen, connect = reactor.listenTCP, reactor.connectTCP

    def listen_somewhere(_port, factory, backlog=50, interface=""):
        listening = listen(0, factory, backlog, "127.0.0.1")
        print("port", listening.getHost().port, flush=True)
        return listening

    def connect_there(_host, _port, *rest, **named):
        return connect(host, port, *rest, **named)

    reactor.listenTCP = listen_somewhere
    if port:
        reactor.connectTCP = connect_there


def main():
    argv = sys.argv[1:]
    threading.Thread(target=end_with_the_test, daemon=True).start()
    if argv[0] == "--port-map":
        host, _, port = argv[1].rpartition(":")
        map_ports(host, int(port))
        argv = argv[2:]
    script = argv[0]
    sys.argv = argv
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    sys.dont_write_bytecode = True
    runpy.run_path(script, run_name="__main__")


main()
