// Package value has the notation of values on the command line: Python's literals, of which JSON is nearly a subset. It
// parses and prints them, and writes them as JSON. Values have the types that a jelly.Decoder returns; [Ref], [Copy]
// and [Cache] stand for what a connection supplies.
//
// What a peer sent is printed escaped, so it cannot control a terminal, and the text has a limit, because a small
// message can mention one part very often.
package value
