package child

// Operations of a [Request]. Servers know OpUsage only.
const (
	OpOpen    = "open"    // make connections and get callers ready
	OpRun     = "run"     // have the callers call for a while
	OpClose   = "close"   // undo OpOpen
	OpTour    = "tour"    // call every exported object once
	OpHold    = "hold"    // leave calls unanswered on the first connection
	OpRelease = "release" // have them answered
	OpUsage   = "usage"   // say what the process has used
)

// Request is what a child is asked to do.
type Request struct {
	Op string `json:"op"`
	// Conns is how many connections OpOpen makes, Callers how many callers share them evenly.
	Conns   int `json:"conns,omitempty"`
	Callers int `json:"callers,omitempty"`
	// Payload is the size of what is echoed; 0 for callers that add.
	Payload int `json:"payload,omitempty"`
	// Exports is how many objects the server exports to the first connection. The callers call them in turn.
	Exports int `json:"exports,omitempty"`
	// Watch has every connection watch one object. The one caller changes it, each time when all have seen the change before.
	Watch bool `json:"watch,omitempty"`
	// Caches is how many objects of the server's the first connection gets copies of.
	Caches int `json:"caches,omitempty"`
	// Millis is how long OpRun lasts.
	Millis int `json:"millis,omitempty"`
	// Count is how many calls OpHold makes.
	Count int `json:"count,omitempty"`
	// Collect has OpUsage collect garbage first.
	Collect bool `json:"collect,omitempty"`
}

// Reply is a child's answer to any request. What does not belong to the request is zero.
type Reply struct {
	Error string `json:"error,omitempty"`
	// Addr is where a server serves; in the first line that a child writes.
	Addr string `json:"addr,omitempty"`

	// Of OpRun.
	Calls   int64   `json:"calls,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	P50     float64 `json:"p50_us,omitempty"`
	P99     float64 `json:"p99_us,omitempty"`

	// Of OpUsage; CPU of OpRun too, then that of the run alone.
	CPU        float64 `json:"cpu_us,omitempty"`
	Heap       uint64  `json:"heap,omitempty"`
	Stack      uint64  `json:"stack,omitempty"`
	RSS        uint64  `json:"rss,omitempty"`
	Goroutines int     `json:"goroutines,omitempty"`
}
