package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
	"github.com/perspectivebroker/pb/flavors"
)

// status is what the worker knows about itself. All methods may be called from any goroutine.
type status struct {
	notify *service.Notifier
	master string

	mu          sync.Mutex
	began       time.Time
	attached    time.Time // of the current session; zero if there is none
	attachments int
	failures    int // attempts in a row
	lastError   string
	lastErrorAt time.Time
	retry       time.Time            // of the next attempt
	builds      map[string]int       // begun, by builder
	running     map[*command]working // commands
	ended       map[outcomeOf]int    // commands
}

// working is a command under way.
type working struct {
	Builder string    `json:"builder"`
	Command string    `json:"command"`
	ID      string    `json:"id"`
	Since   time.Time `json:"since"`
}

// outcomeOf is how a command ended.
type outcomeOf struct{ command, outcome string }

// firstLine returns the first line of a text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func newStatus(master string, notify *service.Notifier) *status {
	return &status{
		notify: notify, master: master, began: time.Now(), builds: map[string]int{}, running: map[*command]working{},
		ended: map[outcomeOf]int{},
	}
}

func (s *status) up() {
	s.mu.Lock()
	s.attached = time.Now()
	s.attachments++
	s.failures = 0
	s.mu.Unlock()
	s.notify.Status("attached to " + s.master)
}

// down notes a lost connection or a failed attempt. It returns the number of failures in a row.
func (s *status) down(cause error, retry time.Duration) int {
	text := "the connection was closed"
	if cause != nil {
		text = cause.Error()
	}
	s.mu.Lock()
	now := time.Now()
	s.attached, s.lastError, s.lastErrorAt, s.retry = time.Time{}, text, now, now.Add(retry)
	s.failures++
	failures := s.failures
	s.mu.Unlock()
	s.notify.Status("not attached: " + clean(firstLine(text)))
	return failures
}

func (s *status) build(builder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builds[builder]++
}

// forget drops the counts of a builder that is gone.
func (s *status) forget(builder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.builds, builder)
}

func (s *status) begin(c *command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[c] = working{Builder: c.builder, Command: c.name, ID: c.id, Since: time.Now()}
}

// end notes the end of a command, which is "done", "failed", "interrupted" or "lost" with its connection.
func (s *status) end(c *command, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.running[c]; ok {
		delete(s.running, c)
		s.ended[outcomeOf{c.name, outcome}]++
	}
}

// snapshot is the status at one moment.
type snapshot struct {
	Version     string         `json:"version"`
	Name        string         `json:"name"`
	Master      string         `json:"master"`
	Basedir     string         `json:"basedir"`
	Began       time.Time      `json:"began"`
	Attached    *time.Time     `json:"attached_since"` // null if not attached
	Attachments int            `json:"attachments"`
	Failures    int            `json:"failures_in_a_row"`
	LastError   string         `json:"last_error,omitempty"`
	LastErrorAt *time.Time     `json:"last_error_at,omitempty"`
	Retry       *time.Time     `json:"next_attempt,omitempty"`
	Builds      map[string]int `json:"builds_begun"`
	Running     []working      `json:"commands_running"`

	ended map[outcomeOf]int
}

func (s *status) snapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := snapshot{
		Version: version, Master: s.master, Began: s.began, Attachments: s.attachments, Failures: s.failures,
		LastError: s.lastError, Builds: maps.Clone(s.builds), Running: slices.Collect(maps.Values(s.running)),
		ended: maps.Clone(s.ended),
	}
	if !s.attached.IsZero() {
		at := s.attached
		now.Attached = &at
	} else if !s.retry.IsZero() {
		at := s.retry
		now.Retry = &at
	}
	if !s.lastErrorAt.IsZero() {
		at := s.lastErrorAt
		now.LastErrorAt = &at
	}
	slices.SortFunc(now.Running, func(a, b working) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Builder, b.Builder), cmp.Compare(a.ID, b.ID))
	})
	if now.Running == nil {
		now.Running = []working{}
	}
	return now
}

// sessionObserver is an actor that learns of the sessions.
type sessionObserver struct{ worker *worker }

// Receive implements protoactor.Actor.
func (o *sessionObserver) Receive(ctx protoactor.Context) {
	w := o.worker
	switch m := ctx.Message().(type) {
	case broker.SessionUp[*flavors.RemoteReference]:
		w.status.up()
	case broker.SessionDown[*flavors.RemoteReference]:
		failures := w.status.down(m.Cause, m.Retry)
		if w.maxRetries > 0 && failures >= w.maxRetries {
			w.end(errGaveUp)
		}
	}
}
