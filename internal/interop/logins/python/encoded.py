"""Runs one listing of twisted-doc, unchanged, with its users and passwords encoded.

    encoded.py LISTING [ARG...]

The listings were written when a name in quotes was bytes. Under Python 3 it is str, which the hash of a
password does not take: neither end of any of them can log in. So what they give to credentials and checkers is
encoded here on its way.
"""

import runpy
import sys

from twisted.cred import checkers, credentials


def encoded(text):
    return text.encode() if isinstance(text, str) else text


def encode_arguments(cls, name):
    plain = getattr(cls, name)

    def encoding(self, *args, **named):
        return plain(self, *map(encoded, args), **{key: encoded(value) for key, value in named.items()})

    setattr(cls, name, encoding)


encode_arguments(credentials.UsernamePassword, "__init__")
encode_arguments(checkers.InMemoryUsernamePasswordDatabaseDontUse, "__init__")
encode_arguments(checkers.InMemoryUsernamePasswordDatabaseDontUse, "addUser")

sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
