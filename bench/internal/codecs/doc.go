// Package codecs measures Jelly over Banana against encoding/json, encoding/gob, msgpack and stock Twisted, on the same
// values. All but Twisted run in this process. Twisted runs in its own process and takes the time there: of jelly and
// Banana to encode, of Banana and unjelly to decode.
//
// By default ours, json and msgpack decode values of unknown type, like the arguments of a call. The typed variants
// decode into a known Go type: ours-typed decodes and then assigns, the others do it in one step. gob uses one encoder
// and one decoder for all values, as on a connection, so it sends type information only once.
//
// The values are: small, two integers; dict, a map of ten keys; ints, a thousand integers; bytes, 64 KiB; and graph, a
// list of 10,000 lists that each refer to another one. Only ours and Twisted can encode graph. json, gob and msgpack
// would encode a node once for each reference to it, and the first node, which refers to itself, not at all. They
// encode the same number of nodes with the index of the other node in place of the reference, which is less work and
// leaves resolving the references to the program.
package codecs
