# Reads a JSON list of objects from standard input. For each it runs the stock program's create-worker with "flags", if
# there are any, then runs the buildbot.tac in "dir" with the stock worker's module, and prints the arguments of the call
# of Worker as JSON.
import inspect
import io
import json
import os
import sys

from buildbot_worker import bot
from buildbot_worker.scripts import runner

signature = inspect.signature(bot.Worker.__init__)


class Recorder:
    def __init__(self, *args, **kw):
        bound = signature.bind(self, *args, **kw)
        bound.apply_defaults()
        del bound.arguments['self']
        found.append({name: v.decode() if isinstance(v, bytes) else v for name, v in bound.arguments.items()})

    def setServiceParent(self, parent):
        pass


bot.Worker = Recorder
found = []
out = sys.stdout
sys.stdout = io.StringIO()
for one in json.load(sys.stdin):
    if one['flags']:
        sys.argv = ['buildbot-worker'] + one['flags']
        try:
            runner.run()
        except SystemExit as e:
            assert not e.code, sys.stdout.getvalue()
    os.chdir(one['dir'])
    with open('buildbot.tac') as f:
        exec(compile(f.read(), 'buildbot.tac', 'exec'), {'__file__': os.path.abspath('buildbot.tac'), '__name__': '__builtin__'})
json.dump(found, out)
