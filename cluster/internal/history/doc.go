// Package history checks what happened to the counters of a cluster. A test records every call as its caller saw
// it, and what the objects did as they logged it; [History.Check] then says whether the promises of the cluster
// were kept:
//
//   - a call is carried out at most once: exactly once if it was answered, never if it failed with Unavailable
//   - an answer is that of its own call
//   - within one activation a counter begins at 0 and never goes back
//   - an object never has two living activations
//   - calls of one caller to one object are carried out in the order in which they were made
//
// All times are those of one machine. Only tests import it.
package history
