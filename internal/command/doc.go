// Package command is the grammar of Perspective Broker's commands. The library reads and writes every command of the
// protocol through it.
//
// A command is a Banana list that begins with the command's name. The elements behind the name are integers and
// strings, and at the end of some commands values in Jelly. This package reads and writes everything in front of the
// values; package jelly does the rest:
//
//	[message 7 root add 1 [tuple 1 2] [dictionary]]
//
//	07 80                list of 7
//	1a 87                message, from the vocabulary
//	07 81                request id
//	04 82 72 6f 6f 74    object: "root"
//	03 82 61 64 64       method: "add"
//	01 81                answerRequired
//	03 80 0b 87 …        arguments: a value
//	01 80 05 87          keywords: a value
//
// The two frames of the negotiation, an offer of dialects and a choice, are no commands. They carry no name, and
// package banana reads and writes them.
//
// To add a command, add its [Name], its row in the table of forms, and its append function.
package command
