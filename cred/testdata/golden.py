"""Prints what stock Twisted does, as JSON: answers to challenges, and logins against FilePasswordDB.

    /usr/bin/python3 golden.py > golden.json
"""

import json
import os
import tempfile

from twisted.cred import credentials, error
from twisted.cred.checkers import FilePasswordDB
from twisted.cred.portal import Portal
from twisted.spread import pb


def answers():
    for challenge in [b"0123456789abcdef", bytes(range(16)), b"\xff" * 16, b"x"]:
        for password in [b"", b"sesame", "Passwört".encode(), b"\x00\xff", b"long " * 100]:
            yield {
                "challenge": challenge.hex(),
                "password": password.hex(),
                "response": pb.respond(challenge, password).hex(),
            }


class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        return pb.IPerspective, avatarId, lambda: None


def login(db, name, password, challenged):
    """Returns the avatar id as hexadecimal, or None where the login was refused."""
    if challenged:
        asked = pb._PortalAuthChallenger(None, None, name, b"0123456789abcdef")
        asked.response = pb.respond(asked.challenge, password)
    else:
        asked = credentials.UsernamePassword(name, password)
    got = []
    Portal(Realm(), [db]).login(asked, None, pb.IPerspective).addCallbacks(
        lambda r: got.append(r[1].hex()), lambda f: f.trap(error.UnauthorizedLogin) and got.append(None)
    )
    return got[0]


FILES = {
    "plain": (b"alice:sesame\nbob:bread\n\nnobody\ncarol:a:b\n  dan : spaces \nalice:second\nerin:tail  \r\n#frank:x\n", {}),
    "caseless": (b"Alice:Sesame\nBOB:bread\n\xc4:latin\n", {"caseSensitive": False}),
    "columns": (b"1,alice,x,sesame\n2,bob,x\n3,carol,,butter,more\n", {"delim": b",", "usernameField": 1, "passwordField": 3}),
    "delimiter": (b"alice::sesame\nbob:bread\n::\n", {"delim": b"::"}),
    "last line open": (b"alice:sesame\nbob:bread", {}),
}

ASKED = [b"alice", b"Alice", b"ALICE", b"bob", b"BOB", b"carol", b"nobody", b"dan", b"  dan ", b"erin", b"#frank", b"\xc4", b"\xe4"]
PASSWORDS = [b"sesame", b"Sesame", b"bread", b"a", b"a:b", b"spaces", b" spaces", b" spaces ", b"tail", b"tail  ", b"x", b"latin", b"butter", b"second"]


def files():
    for name, (content, options) in FILES.items():
        with tempfile.TemporaryDirectory() as at:
            path = os.path.join(at, "passwords")
            with open(path, "wb") as f:
                f.write(content)
            db = FilePasswordDB(path, **options)
            in_let = []
            for user in ASKED:
                for password in PASSWORDS:
                    plain = login(db, user, password, False)
                    assert plain == login(db, user, password, True)
                    if plain is not None:
                        in_let.append([user.hex(), password.hex(), plain])
            yield {
                "name": name,
                "content": content.hex(),
                "delim": options.get("delim", b":").decode(),
                "usernameField": options.get("usernameField", 0),
                "passwordField": options.get("passwordField", 1),
                "caseSensitive": options.get("caseSensitive", True),
                "in": in_let,
            }


print(
    json.dumps(
        {
            "answers": list(answers()),
            "files": list(files()),
            "asked": [a.hex() for a in ASKED],
            "passwords": [p.hex() for p in PASSWORDS],
        },
        indent=1,
    )
)
