package paging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// DefaultBuffer is how many unread bytes a [Reader] keeps by default.
const DefaultBuffer = 4 << 20

// Reader is an io.ReadCloser that reads the bytes sent to a page collector. While it has more unread bytes than its
// buffer, it delays its answers, so a sender that asks for answers, such as a [Writer], waits. Stock pagers ask for
// none; if one is more than a buffer and a half ahead, reading fails.
type Reader struct {
	collector *pageSink
}

// pageSink is the collector behind a Reader.
type pageSink struct {
	flavors.Referenceable
	limit int

	mu sync.Mutex
	// Guarded by mu. Pages come in the actor's turn; the reader is another goroutine.
	pages   [][]byte
	grows   bool              // small pages can be appended to the last one
	waiting int               // bytes in pages
	total   int64             // bytes received
	delayed []*actor.Deferred // answers that wait for room
	err     error             // io.EOF after the last page
	changed chan struct{}     // closed and replaced on each change
	stop    []func() bool     // end the contexts' watches
}

// NewReader returns a reader with a buffer of limit bytes; [DefaultBuffer] if limit is not positive. Its reads end with
// the last page, and as [Reader.EndWith] says.
func NewReader(limit int) *Reader {
	if limit <= 0 {
		limit = DefaultBuffer
	}
	return &Reader{&pageSink{limit: limit, changed: make(chan struct{})}}
}

// Collector returns the collector to pass to the peer.
func (r *Reader) Collector() any {
	if r == nil {
		return nil
	}
	return r.collector
}

// EndWith makes reading fail when ctx ends before the last page has come. A method that returns the collector of a
// NewReader passes its own context, which ends with the connection of the caller. Without it, reading waits for ever
// for the pages of a peer that has gone.
func (r *Reader) EndWith(ctx context.Context) {
	switch {
	case r == nil || r.collector == nil:
	case ctx == nil:
		r.collector.end(actor.ErrNilContext)
	default:
		r.collector.endWith(ctx, func(cause error) error { return cause })
	}
}

var errNoReader = errors.New("paging: this Reader was not made by NewReader or Open")

// Open calls a method of the peer with a page collector as its first argument, and args after it. The Reader returns
// what the method sends. Reading fails if ctx or the connection ends or the method fails. The caller must close it.
func Open(ctx context.Context, ref *flavors.RemoteReference, method string, args ...any) *Reader {
	r := NewReader(0)
	if err := pagesWanted(ctx, ref); err != nil {
		r.collector.end(err)
		return r
	}
	call := ref.CallRemote(method, append([]any{r.collector}, args...)...)
	call.OnComplete(func(_ any, err error) {
		if err != nil {
			r.collector.end(usercode.Wrap(err, "the pages of %s", method))
		}
	})
	r.EndWith(ctx)
	r.collector.endWith(ref.Conn().Context(), func(cause error) error { return flavors.ConnectionLost.Wrap(cause) })
	return r
}

// RemoteGotPage takes a page. It answers when there is room for the next.
func (s *pageSink) RemoteGotPage(inv *flavors.Invocation, page []byte) (*actor.Deferred, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, flavors.PBError.Errorf("nobody reads any more: %w", s.err)
	}
	s.keepLocked(page)
	s.waiting += len(page)
	s.total += int64(len(page))
	if !inv.WantsAnswer() && s.waiting > s.limit+s.limit/2+len(page) {
		s.endLocked(
			fmt.Errorf(
				"paging: the peer sends pages faster than they are read and asks for no answers: %d bytes are unread",
				s.waiting,
			),
		)
	}
	s.signalLocked()
	if s.waiting <= s.limit {
		return nil, nil
	}
	d := actor.NewDeferred(inv.Conn().Runtime())
	s.delayed = append(s.delayed, d)
	return d, nil
}

// Pages shorter than smallPage are joined, up to fullPage bytes, so that they take about as much memory as they have
// bytes.
const (
	smallPage = 1 << 10
	fullPage  = 16 << 10
)

func (s *pageSink) keepLocked(page []byte) {
	last := len(s.pages) - 1
	switch {
	case len(page) == 0:
	case len(page) >= smallPage:
		s.pages, s.grows = append(s.pages, page), false
	case last >= 0 && s.grows && len(s.pages[last])+len(page) <= fullPage:
		s.pages[last] = append(s.pages[last], page...)
	default:
		s.pages, s.grows = append(s.pages, bytes.Clone(page)), true
	}
}

// RemoteEndedPaging follows the last page.
func (s *pageSink) RemoteEndedPaging() { s.end(io.EOF) }

// RemotePagingFailed comes in its place if the pages end early.
func (s *pageSink) RemotePagingFailed(text string) {
	s.end(pagesFailed(text))
}

// pagesFailed returns the error of a collector whose peer ended the pages early.
func pagesFailed(text string) error {
	return internal.RemoteError("the peer ended its paging early: " + text)
}

// endWith ends the reading when ctx ends.
func (s *pageSink) endWith(ctx context.Context, why func(cause error) error) {
	stop := context.AfterFunc(ctx, func() { s.end(why(context.Cause(ctx))) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		stop()
		return
	}
	s.stop = append(s.stop, stop)
}

func (s *pageSink) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(err)
}

func (s *pageSink) endLocked(err error) {
	if s.err == nil {
		s.err = err
		for _, stop := range s.stop {
			stop()
		}
		s.stop = nil
		s.signalLocked()
		s.answerLocked()
	}
}

func (s *pageSink) signalLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *pageSink) answerLocked() {
	for _, d := range s.delayed {
		d.Complete(nil, nil)
	}
	s.delayed = nil
}

// Read implements io.Reader. It waits for pages. Bytes that came before an error are returned first.
func (r *Reader) Read(p []byte) (int, error) {
	if r == nil || r.collector == nil {
		return 0, errNoReader
	}
	s := r.collector
	for {
		s.mu.Lock()
		if len(s.pages) > 0 {
			n := copy(p, s.pages[0])
			s.takeLocked(n)
			s.mu.Unlock()
			return n, nil
		}
		err, changed := s.err, s.changed
		s.mu.Unlock()
		if err != nil || len(p) == 0 {
			return 0, err
		}
		<-changed
	}
}

func (s *pageSink) takeLocked(n int) {
	s.waiting -= n
	if s.pages[0] = s.pages[0][n:]; len(s.pages[0]) == 0 {
		s.pages[0] = nil
		s.pages = s.pages[1:]
	}
	if s.waiting <= s.limit/2 {
		s.answerLocked()
	}
}

// Received returns the number of bytes received so far.
func (r *Reader) Received() int64 {
	if r == nil || r.collector == nil {
		return 0
	}
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	return r.collector.total
}

// Close ends the reading. A sender that asks for answers gets an error.
func (r *Reader) Close() error {
	if r == nil || r.collector == nil {
		return nil
	}
	s := r.collector
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(ErrEnded)
	s.pages, s.waiting = nil, 0
	return nil
}

// String names the reader in logs.
func (r *Reader) String() string { return "<page reader>" }

// Format implements fmt.Formatter by String.
func (r *Reader) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }
