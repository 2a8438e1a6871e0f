// Package tac reads and writes buildbot.tac, the file in which the stock create-worker keeps a worker's settings.
//
// The file is a Python program. This package does not run Python. It interprets the statements that the stock templates
// have, and what people commonly write in such a file: assignments of literals, variables and sums, paths, environment
// variables, conditions that it can decide, and the call of Worker, or of BuildSlave in old files. A value that it
// cannot know is an error only where the worker needs it. A statement that may have an effect and is not understood is
// an error that names its line. A harmless one is a [Note].
//
// The file may come from anybody: its size, the depth of its nesting and the length of its texts are limited, and no
// error repeats a text from it, because it may be the password.
package tac
