// Package codecs measures Jelly over Banana beside encoding/json, encoding/gob, msgpack and stock Twisted, on the same values. All but
// Twisted work in this process; Twisted has one of its own and takes the time in there, of jelly and Banana, and of Banana and unjelly.
//
// Ours, json and msgpack are given what a call's arguments are, values whose types the receiver learns from the bytes. Beside them stand
// the typed ways, in which the receiver knows: ours-typed decodes and then assigns, the others do it in one. gob keeps its encoder and
// decoder for all values, as it does on a connection, so it sends its types once.
//
// The values: small is two integers, dict has ten keys, ints a thousand integers, bytes 64 KiB. graph is a list of 10,000 lists of which each
// mentions another. Only ours and Twisted can send that: json, gob and msgpack would write a node as often as it is mentioned,
// and send the first, which mentions itself, not at all. They have as many nodes, with the number of the other in the place of the mention,
// which is less work, and would leave finding the other to the program.
package codecs
