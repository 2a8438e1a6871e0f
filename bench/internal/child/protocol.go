package child

// Operations of a [Request]. A server supports OpUsage only; a node of a cluster OpLinks as well.
const (
	OpOpen    = "open"    // open connections and prepare callers
	OpRun     = "run"     // run the callers for Millis
	OpClose   = "close"   // close the connections
	OpCallAll = "callall" // call every exported object once
	OpHold    = "hold"    // make Count calls on the first connection that the server does not answer
	OpRelease = "release" // make the server answer the held calls
	OpUsage   = "usage"   // report CPU and memory usage of the process
	OpLinks   = "links"   // wait until the process is connected to Count other nodes
)

// Request is a request to a child.
type Request struct {
	Op string `json:"op"`
	// Conns is the number of connections that OpOpen opens. Callers is the number of callers that share them evenly.
	Conns   int `json:"conns,omitempty"`
	Callers int `json:"callers,omitempty"`
	// Payload is the size of the payload to echo. If it is 0, the callers call Add.
	Payload int `json:"payload,omitempty"`
	// Structs makes the callers send and receive structs.
	Structs bool `json:"structs,omitempty"`
	// Exports is the number of objects that the server exports to the first connection. The callers call them in turn.
	Exports int `json:"exports,omitempty"`
	// Watch makes every connection watch one object. There is one caller; it changes the object and waits until all
	// connections have seen the change.
	Watch bool `json:"watch,omitempty"`
	// Caches is the number of the server's objects of which the first connection gets copies.
	Caches int `json:"caches,omitempty"`
	// Millis is the duration of OpRun in milliseconds.
	Millis int `json:"millis,omitempty"`
	// Count is the number of calls that OpHold makes, and of links that OpLinks waits for.
	Count int `json:"count,omitempty"`
	// Collect makes OpUsage collect garbage first.
	Collect bool `json:"collect,omitempty"`
}

// Reply is the reply to any request. Fields that do not apply to the request are zero.
type Reply struct {
	Error string `json:"error,omitempty"`
	// Addr is the address of a server, in the first reply of the child.
	Addr string `json:"addr,omitempty"`

	// For OpRun. P50 and P99 are in microseconds.
	Calls   int64   `json:"calls,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	P50     float64 `json:"p50_us,omitempty"`
	P99     float64 `json:"p99_us,omitempty"`

	// For OpUsage, in microseconds of CPU time and in bytes. OpRun sets CPU too, to the CPU time of the run.
	CPU        float64 `json:"cpu_us,omitempty"`
	Heap       uint64  `json:"heap,omitempty"`
	Stack      uint64  `json:"stack,omitempty"`
	RSS        uint64  `json:"rss,omitempty"`
	Goroutines int     `json:"goroutines,omitempty"`
}
