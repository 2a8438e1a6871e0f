#!/usr/bin/python3
"""Makes golden.json with stock Twisted, and answers questions about it.

    gen_golden.py > golden.json     the golden vectors
    gen_golden.py --serve           one JSON question a line on stdin, one answer a line on stdout

Values are written as {"int": "decimal"}, {"float": "hex of the 8 bytes"},
{"bytes": "hex"} and {"list": [...]}, because JSON has neither big integers nor
bytes. Nothing here imports or imitates the Go code.
"""

import json
import platform
import struct
import sys

import twisted
from twisted.internet.testing import StringTransport
from twisted.spread import banana


def to_json(value):
    if isinstance(value, (list, tuple)):
        return {"list": [to_json(v) for v in value]}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": struct.pack("!d", value).hex()}
    return {"bytes": value.hex()}


def from_json(value):
    ((kind, body),) = value.items()
    if kind == "list":
        return [from_json(v) for v in body]
    if kind == "int":
        return int(body)
    if kind == "float":
        return struct.unpack("!d", bytes.fromhex(body))[0]
    if kind == "repeat":  # a long string, for questions about limits
        return bytes.fromhex(body[0]) * body[1]
    if kind == "repeatlist":
        return [from_json(body[0])] * body[1]
    return bytes.fromhex(body)


class Peer(banana.Banana):
    def __init__(self, isClient):
        super().__init__(isClient)
        self.got = []

    def expressionReceived(self, obj):
        self.got.append(obj)


def server(profile):
    """A stock server that has agreed on a profile; None is before that."""
    peer = Peer(isClient=0)
    peer.makeConnection(StringTransport())
    if profile is not None:
        name = profile.encode()
        peer.dataReceived(bytes((len(name),)) + b"\x82" + name)
        assert peer.currentDialect == name
    peer.transport.clear()
    return peer


def encode(profile, value):
    peer = server(profile)
    try:
        peer.sendEncoded(value)
    except Exception as e:
        return {"error": type(e).__name__}
    return {"hex": peer.transport.value().hex()}


def decode(profile, chunks):
    peer = server(profile)
    answer = {}
    try:
        for chunk in chunks:
            peer.dataReceived(chunk)
    except Exception as e:
        answer["error"] = type(e).__name__
    else:
        answer["incomplete"] = bool(peer.buffer or peer.listStack)
    answer["values"] = [to_json(v) for v in peer.got]
    return answer


def negotiate(offer):
    """What a stock client makes of a server's first bytes."""
    peer = Peer(isClient=1)
    peer.makeConnection(StringTransport())
    answer = {}
    try:
        peer.dataReceived(offer)
    except Exception as e:
        answer["error"] = type(e).__name__
    answer["sent"] = peer.transport.value().hex()
    answer["profile"] = (peer.currentDialect or b"").decode()
    answer["lost"] = peer.transport.disconnecting
    return answer


def accept(choice):
    """What a stock server makes of a client's first bytes."""
    peer = Peer(isClient=0)
    peer.makeConnection(StringTransport())
    answer = {"offer": peer.transport.value().hex()}
    try:
        peer.dataReceived(choice)
    except Exception as e:
        answer["error"] = type(e).__name__
    answer["profile"] = (peer.currentDialect or b"").decode()
    answer["lost"] = peer.transport.disconnecting
    return answer


def bits(hexadecimal):
    return struct.unpack("!d", bytes.fromhex(hexadecimal))[0]


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


ENCODE = [
    ("empty list", []),
    ("empty string", b""),
    ("nested lists", [[], [[]], [[], [1]]]),
    ("a call", [b"message", 1, b"root", b"add", 1, [b"tuple", 1, 2], [b"dictionary"]]),
    ("version", [b"version", 6]),
    ("decref", [b"decref", 300]),
    ("text", [b"unicode", "grüße, 世界".encode()]),
    ("all bytes", bytes(range(256))),
    ("list of 127", [0] * 127),
    ("list of 128", [0] * 128),
    ("list of 300", list(range(300))),
    ("string of 127", b"x" * 127),
    ("string of 128", b"x" * 128),
    ("depth 256", nested(256)),
    ("nearly words", [b"Lists", b"lis", b"list ", b"LIST", b"none", b"not_logged_on", b"tuplf"]),
]
for _number, _word in sorted((v, k) for k, v in banana.Banana.outgoingVocabulary.items()):
    ENCODE.append(("word %d %s" % (_number, _word.decode()), _word))
for _e in (0, 1, 6, 7, 8, 13, 14, 15, 30, 31, 32, 33, 62, 63, 64, 65, 127, 128, 447, 448):
    for _d in (-1, 0, 1):
        for _s in (1, -1):
            ENCODE.append(("int %+d * (2^%d %+d)" % (_s, _e, _d), _s * (2 ** _e + _d)))
for _f in (0.0, -0.0, 1.0, -1.5, 3.141592653589793, 1e300, 5e-324, float("inf"), float("-inf")):
    ENCODE.append(("float %r" % _f, _f))
for _h in ("7ff8000000000000", "fff8000000000000", "7ff8dead0000beef", "7ff0000000000001"):
    ENCODE.append(("float nan " + _h, bits(_h)))

DECODE = [
    ("empty headers", "80" "81" "82" "83" "85" "86"),
    ("empty vocab header", "87"),
    ("leading zeros, int", "0100000081"),
    ("leading zeros, string", "0200008268 69"),
    ("leading zeros, list", "01000080 0181"),
    ("leading zeros, vocab", "0b000087"),
    ("leading zeros, 64 bytes", "01" + "00" * 63 + "81"),
    ("leading zeros, 65 bytes", "01" + "00" * 64 + "81"),
    ("zero of every kind", "0081 0083 0085 0086"),
    ("zero digits of every kind", "000081 000083 000085 000086"),
    ("int of 2^31", "000000000881"),
    ("int of 448 bits", "7f" * 64 + "81"),
    ("neg of 2^31", "000000000883"),
    ("neg of 448 bits", "7f" * 64 + "83"),
    ("longint of 1", "0185"),
    ("longneg of 1", "0186"),
    ("2^63 - 1", "7f" * 9 + "81"),
    ("2^63", "00" * 9 + "0181"),
    ("2^63, leading zeros", "00" * 9 + "01000081"),
    ("-(2^63 - 1)", "7f" * 9 + "83"),
    ("-2^63", "00" * 9 + "0183"),
    ("-2^63 as longneg, leading zeros", "00" * 9 + "01000086"),
    ("-2^63 - 1", "01" + "00" * 8 + "0183"),
    ("2^64", "00" * 9 + "0285"),
    ("64 bytes of prefix", "01" * 64),
    ("65 bytes of prefix", "01" * 65),
    ("float with a header", "0184 3ff8000000000000"),
    ("float with 64 bytes of header", "7f" * 64 + "84 3ff8000000000000"),
    ("float with 65 bytes of header", "7f" * 65 + "84 3ff8000000000000"),
    ("float cut short", "84 3ff80000000000"),
    ("string cut short", "0382 6869"),
    ("list cut short", "0280 0181"),
    ("string too long", "01002882"),
    ("string longest, header only", "00002882"),
    ("string of 2^70", "00" * 10 + "0182"),
    ("list too long", "01002880"),
    ("list longest, header only", "00002880"),
    ("list of 2^70", "00" * 10 + "0180"),
    ("word 0", "0087"),
    ("word 32", "2087"),
    ("word 128 + 1", "010187"),
    ("word 2^70", "00" * 10 + "0187"),
    ("word spelled out", "05827475706c65"),
    ("list of words", "0380 0187 1f87 1a87"),
    ("two expressions", "0280 0181 0281 0381"),
    ("list ends in lists", "0280 0180 0181 0180 0080 0581"),
    ("error after an expression", "0181 0280 88"),
    ("http", b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n".hex()),
    ("tls", "1603010200010001fc0303"),
]
for _b in range(0x88, 0x100, 17):
    DECODE.append(("type byte %02x" % _b, "01%02x" % _b))

OFFERS = [
    ("stock", [b"pb", b"none"]),
    ("none first", [b"none", b"pb"]),
    ("one", [b"none"]),
    ("others first", [b"xyz", 3, 1.5, [b"pb"], b"", b"pb"]),
    ("unknown", [b"xyz"]),
    ("empty", []),
    ("numbers", [1, 2]),
    ("a string", b"pb"),
    ("an integer", 1),
]
CHOICES = [
    ("pb", b"pb"),
    ("none", b"none"),
    ("unknown", b"xyz"),
    ("empty", b""),
    ("integer", 1),
    ("a list", [b"pb"]),
]


def golden():
    profiles = ("pb", "none")
    made = {
        "provenance": {
            "script": "gen_golden.py",
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        },
        "encode": [],
        "decode": [],
        "offers": [],
        "choices": [],
    }
    for name, value in ENCODE:
        case = {"name": name, "value": to_json(value)}
        for profile in profiles:
            case[profile] = encode(profile, value)
        made["encode"].append(case)
    for name, stream in DECODE:
        stream = bytes.fromhex(stream.replace(" ", ""))
        case = {"name": name, "hex": stream.hex()}
        for profile in profiles:
            case[profile] = decode(profile, [stream])
        made["decode"].append(case)
    for name, offer in OFFERS:
        offer = bytes.fromhex(encode("none", offer)["hex"])
        made["offers"].append({"name": name, "hex": offer.hex(), "stock": negotiate(offer)})
    for name, choice in CHOICES:
        choice = bytes.fromhex(encode("none", choice)["hex"])
        made["choices"].append({"name": name, "hex": choice.hex(), "stock": accept(choice)})
    return made


def as_text(made):
    """JSON with a case a line, so that differences can be read."""
    parts = []
    for key, body in sorted(made.items()):
        if isinstance(body, list):
            lines = ",\n".join(json.dumps(case, sort_keys=True) for case in body)
            parts.append('"%s": [\n%s\n]' % (key, lines))
        else:
            parts.append('"%s": %s' % (key, json.dumps(body, sort_keys=True)))
    return "{\n" + ",\n".join(parts) + "\n}"


def serve():
    for line in sys.stdin:
        question = json.loads(line)
        if "chunks" in question:
            chunks = [bytes.fromhex(c) for c in question["chunks"]]
            answer = decode(question["profile"], chunks)
        else:
            answer = encode(question["profile"], from_json(question["value"]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        print(as_text(golden()))
