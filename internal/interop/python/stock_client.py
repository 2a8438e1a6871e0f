"""Stock Twisted as a client that checks a conformance server, ours or stock's.

    stock_client.py URL [--group NAME]... [--only NAME]... [--plain] [--ca FILE [--cert FILE --key FILE]]
                    [--connections N] [--list]

URL is pb://HOST:PORT, pbs://HOST:PORT or pb+unix:///PATH. Runs the checks of the groups named (all of them if none is) one
after the other, each on a connection of its own, and prints "ok NAME" or "FAIL NAME reason" for each, then
"N ok, N failed". The exit code is 1 when one failed. --plain leaves out what only the whole
contract of examples/conformance promises, and a server of one thread or of a few methods cannot do.
"""

import argparse
import os
import sys
import traceback
from urllib.parse import urlsplit

import checks_caches  # noqa: F401 (importing them registers them)
import checks_calls  # noqa: F401
import checks_contract  # noqa: F401
import checks_failures  # noqa: F401
import checks_hostile
import checks_interop  # noqa: F401
import checks_login  # noqa: F401
import checks_references  # noqa: F401
import checks_relaying  # noqa: F401
import checks_values  # noqa: F401
from checking import Session, certificates, registered
from twisted.internet import defer, reactor


@defer.inlineCallbacks
def run_one(check, url):
    session = Session(url)
    try:
        yield session.run(check)
    except BaseException as problem:
        if os.environ.get("TRACE"):
            traceback.print_exc()
        text = " ".join(str(problem).split()) or type(problem).__name__
        print("FAIL", check.name, f"{type(problem).__name__}: {text}"[:400])
        return False
    finally:
        yield session.close()
    print("ok", check.name)
    return True


@defer.inlineCallbacks
def run_all(checks, url):
    results = []
    group = None
    for check in checks:
        if group != check.group:
            group = check.group
            print("group", group)
        results.append((yield run_one(check, url)))
    print(f"{results.count(True)} ok, {results.count(False)} failed")
    return all(results) and bool(results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    for name in certificates:
        parser.add_argument("--" + name)
    parser.add_argument("--connections", type=int, default=checks_hostile.churn.connections)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    certificates.update({name: getattr(options, name) for name in certificates})
    checks_hostile.churn.connections = options.connections
    groups = options.group or ["values", "calls", "references", "failures", "copies", "caches", "paging"]
    checks = [
        c
        for c in registered
        if (c.name in options.only if options.only else c.group in groups)
        and not (options.plain and c.function.__module__ == checks_contract.__name__)
    ]
    if options.list:
        for c in checks:
            print(c.group, c.name)
        return 0
    outcome = []
    reactor.callWhenRunning(
        lambda: run_all(checks, urlsplit(options.url))
        .addErrback(lambda failure: failure.printTraceback(sys.stdout))
        .addCallback(outcome.append)
        .addBoth(lambda _: reactor.stop())
    )
    reactor.run()
    return 0 if outcome == [True] else 1


sys.exit(main())
