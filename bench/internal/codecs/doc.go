// Package codecs measures Jelly over Banana beside encoding/json and encoding/gob, on the same values, in this process.
//
// Ours and json are given what a call's arguments are, values whose types the receiver learns from the bytes. Beside them stand the typed
// ways, in which the receiver knows: ours-typed decodes and then assigns, json-typed and gob do it in one. gob keeps its encoder and
// decoder for all values, as it does on a connection, so it sends its types once.
package codecs
