package inspect

import "time"

// Snapshot is a program at one moment, as /json has it. Names of fields do not change between releases; releases may
// add fields. Times are in seconds, sizes in bytes. What peers have chosen, such as names of users, is escaped where
// it is not printable, and clipped.
//
// Lists are limited. Those that are cut have a field that tells how many entries were left out.
type Snapshot struct {
	// Program is the name of the executable.
	Program string `json:"program"`
	// Time is when the snapshot was taken.
	Time time.Time `json:"time"`
	// Uptime is how long the process has run.
	Uptime float64 `json:"uptime_seconds"`
	// Window is the time over which rates are computed: at least about a second, if the program was looked at before.
	// Otherwise rates are the average since the process began or, of a connection, since the connection began.
	Window float64 `json:"window_seconds"`
	// Closing reports whether the runtime is closing.
	Closing bool `json:"closing"`
	// Goroutines is how many the process has. Memory is what it has in use.
	Goroutines int    `json:"goroutines"`
	Memory     uint64 `json:"memory_bytes"`

	// Totals are the figures of all connections.
	Totals Totals `json:"totals"`
	// Connections are the busiest connections, sorted by number.
	Connections     []Connection `json:"connections"`
	MoreConnections int          `json:"connections_left_out"`
	// Methods are the most frequent and the slowest methods, the most frequent first.
	Methods     []Method `json:"methods"`
	MoreMethods int      `json:"methods_left_out"`
	// LatencyBounds are the upper bounds of the buckets of all Latencies but the last bucket, which has no bound.
	LatencyBounds []float64 `json:"latency_bounds_seconds"`
	// Objects are the objects that have an actor, those with the longest mailboxes first. An object that was sent and
	// never called has none.
	Objects     []Object `json:"objects"`
	MoreObjects int      `json:"objects_left_out"`
	// Tree is the tree of actors.
	Tree Actors `json:"tree"`
	// Refusals counts what was refused, by reason; see broker.Rejection.
	Refusals []Count `json:"refusals"`
	// Closed counts the connections that have ended, by reason; see broker.CloseReason.
	Closed []Count `json:"closed"`
	// Failures are the latest calls that failed, the newest first.
	Failures []Failure `json:"failures"`
}

// Count is how often something has happened.
type Count struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Calls counts calls in one direction.
type Calls struct {
	Made      uint64 `json:"made"`
	Answered  uint64 `json:"answered"`
	Failed    uint64 `json:"failed"`
	Cancelled uint64 `json:"cancelled"`
	// Pending is how many have no answer yet.
	Pending int `json:"pending"`
}

// Totals are the figures of all connections, including those that have ended.
type Totals struct {
	Open     int    `json:"connections_open"`
	Opening  int    `json:"connections_opening"`
	Accepted uint64 `json:"connections_accepted"`
	Dialed   uint64 `json:"connections_dialed"`

	// CallsIn are those of peers, CallsOut those to peers.
	CallsIn  Calls   `json:"calls_in"`
	CallsOut Calls   `json:"calls_out"`
	RateIn   float64 `json:"calls_in_per_second"`
	RateOut  float64 `json:"calls_out_per_second"`

	BytesIn      uint64  `json:"bytes_in"`
	BytesOut     uint64  `json:"bytes_out"`
	BytesRateIn  float64 `json:"bytes_in_per_second"`
	BytesRateOut float64 `json:"bytes_out_per_second"`
	MessagesIn   uint64  `json:"messages_in"`
	MessagesOut  uint64  `json:"messages_out"`

	References
	Waiting
	// Held is the memory that broker.Limits.MemoryTotal bounds.
	Held int `json:"bytes_held"`
	// Refused is the sum of all refusals.
	Refused uint64 `json:"refused"`
}

// References are what two sides hold of each other.
type References struct {
	// Exports is how many objects of this side the peer holds, Imports how many of the peer's this side holds.
	Exports int `json:"exports"`
	Imports int `json:"imports"`
	// Caches is how many copies the peer keeps of Cacheables here, LocalCaches how many this side keeps of the peer's.
	Caches      int `json:"caches"`
	LocalCaches int `json:"local_caches"`
}

// Waiting is what waits on a connection beside calls.
type Waiting struct {
	// Unwritten is how many bytes wait to be written, Unanswered how many bytes the peer's calls without an answer had.
	Unwritten  int `json:"bytes_unwritten"`
	Unanswered int `json:"bytes_unanswered"`
}

// Connection is a connection that has not ended.
type Connection struct {
	// Number counts the connections of the program from 1.
	Number uint64 `json:"number"`
	Peer   string `json:"peer"`
	// Dialed reports whether this side has connected to the peer.
	Dialed bool `json:"dialed"`
	// State is negotiating, open, draining, flushing or lingering.
	State string `json:"state"`
	// Dialect is what both sides speak, and empty while they negotiate.
	Dialect string `json:"dialect"`
	// Users are the users who are logged in here, and those as whom this program has logged in at the peer. At most eight
	// are listed.
	Users     []string `json:"users"`
	MoreUsers int      `json:"users_left_out"`
	// Actor is the id of the connection's actor in the tree.
	Actor string  `json:"actor"`
	Age   float64 `json:"age_seconds"`
	// Rate is how many calls are made in both directions.
	Rate     float64 `json:"calls_per_second"`
	CallsIn  Calls   `json:"calls_in"`
	CallsOut Calls   `json:"calls_out"`
	BytesIn  uint64  `json:"bytes_in"`
	BytesOut uint64  `json:"bytes_out"`
	References
	Waiting
	// Refused is how much was refused on the connection.
	Refused uint64 `json:"refused"`
}

// Method has the figures of one method.
type Method struct {
	// Incoming reports whether peers call it here; otherwise this program calls it at peers.
	Incoming bool `json:"incoming"`
	// Type and Method are those of broker.MethodStats: methods that do not exist share one entry.
	Type   string  `json:"type"`
	Method string  `json:"method"`
	Rate   float64 `json:"calls_per_second"`
	Calls
	// Mean is the mean latency. P50, P90 and P99 are estimated from the buckets.
	Mean float64 `json:"mean_seconds"`
	P50  float64 `json:"p50_seconds"`
	P90  float64 `json:"p90_seconds"`
	P99  float64 `json:"p99_seconds"`
	// Latency counts calls by how long they took, in the buckets whose bounds the Snapshot has.
	Latency []uint64 `json:"latency"`
	// LastFailure is the type of the last exception; empty if no call has failed.
	LastFailure string `json:"last_failure"`
}

// Object is an object that has an actor.
type Object struct {
	// Actor is the id of the object's actor in the tree.
	Actor string `json:"actor"`
	Type  string `json:"type"`
	// Mailbox is how many calls and other messages wait for the object.
	Mailbox int `json:"mailbox"`
	// Running is the method that runs; empty if there is none.
	Running string `json:"running"`
	// Restarts is how often the object was restarted after a panic.
	Restarts uint64 `json:"restarts"`
	// Holders is how many connections and listeners give the object out, Copies how many copies of it peers keep.
	Holders int `json:"holders"`
	Copies  int `json:"copies"`
}

// Actors are the actors of one kind at one place in the tree.
type Actors struct {
	Name string `json:"name"`
	// Detail tells more of a single actor, such as the URL of a listener.
	Detail string `json:"detail,omitempty"`
	// Count is how many there are now, Restarts how often one was restarted.
	Count    int      `json:"count"`
	Restarts uint64   `json:"restarts"`
	Below    []Actors `json:"below,omitempty"`
	// MoreBelow is how many kinds were left out.
	MoreBelow int `json:"below_left_out,omitempty"`
}

// Failure is a call that has failed. The text of the exception is not kept.
type Failure struct {
	Time     time.Time `json:"time"`
	Incoming bool      `json:"incoming"`
	Type     string    `json:"type"`
	Method   string    `json:"method"`
	Peer     string    `json:"peer"`
	// Exception is the exception's type.
	Exception string `json:"exception"`
}
