"""Runs one of the documentation's applications with twistd, in the foreground: twistd.py FILE.

The log goes to standard output, and so does what the application prints, each line behind "[stdout#info] ".
"""

import os
import sys

from twisted.scripts.twistd import run

path = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.dirname(path))
sys.argv = ["twistd", "--nodaemon", "--pidfile=", "--logfile=-", "--python", path]
run()
