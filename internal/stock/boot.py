"""Runs one script under stock Twisted for a Go test.

    boot.py [--port-map HOST:PORT] SCRIPT [ARG...]

It changes two things. The program ends when its standard input closes: the test holds the other end of that
pipe, so the program ends with the test. With --port-map every listenTCP uses a free loopback port and prints
"port N", and every connectTCP connects to HOST:PORT (unless PORT is 0), so that a listing with a fixed port
can talk to a peer on another port.
"""

import os
import runpy
import sys
import threading


def exit_at_eof():
    try:
        while os.read(0, 4096):
            pass
    finally:
        os._exit(143)


def map_ports(host, port):
    from twisted.internet import reactor

    listen, connect = reactor.listenTCP, reactor.connectTCP

    def listen_on_free_port(_port, factory, backlog=50, interface=""):
        listening = listen(0, factory, backlog, "127.0.0.1")
        print("port", listening.getHost().port, flush=True)
        return listening

    def connect_to_peer(_host, _port, *rest, **named):
        return connect(host, port, *rest, **named)

    reactor.listenTCP = listen_on_free_port
    if port:
        reactor.connectTCP = connect_to_peer


def main():
    argv = sys.argv[1:]
    threading.Thread(target=exit_at_eof, daemon=True).start()
    if argv[0] == "--port-map":
        host, _, port = argv[1].rpartition(":")
        map_ports(host, int(port))
        argv = argv[2:]
    script = argv[0]
    sys.argv = argv
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    sys.dont_write_bytecode = True
    runpy.run_path(script, run_name="__main__")


main()
