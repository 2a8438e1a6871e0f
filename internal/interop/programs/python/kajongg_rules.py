"""Prints a ruleset of the installed kajongg as JSON."""

import json
import sys

sys.path.insert(0, "/usr/share/kajongg")

import common  # noqa: E402

common.Internal.isServer = True

import predefined  # noqa: E402
from rule import PredefinedRuleset  # noqa: E402

predefined.load()
print(json.dumps(PredefinedRuleset.rulesets()[0].toList()))
