package flavors

import (
	"context"
	"errors"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// pagesUnderWay is how many pages a [PageWriter] has under way that the collector has not answered.
const pagesUnderWay = 8

// ErrPagingEnded fails writes after Close.
var ErrPagingEnded = errors.New("flavors: the paging has ended")

// PageWriter writes to a peer's page collector: an io.WriteCloser that speaks Twisted's paging. Other than [SendPages]
// it asks for an answer to each page, so that it goes on as fast as the collector takes the pages, and learns of its
// errors. It keeps a page and those that are under way, 8 at the most, whatever the size of the whole.
//
// It is for plain goroutines, one at a time: in an actor's turn it would wait.
type PageWriter struct {
	ctx       context.Context
	collector *RemoteReference
	page      []byte
	onPage    func(written int64)

	credit chan struct{} // a token for each page under way
	mu     sync.Mutex
	err    error // the first one of a page
	sent   int64
	closed bool
}

// NewPageWriter makes a writer of pages of size bytes, [DefaultPageSize] where size is not positive. The end of ctx
// ends its waiting. progress is called with the number of bytes on their way after each page; it may be nil.
func NewPageWriter(
	ctx context.Context,
	collector *RemoteReference,
	size int,
	progress func(written int64),
) *PageWriter {
	return &PageWriter{
		ctx: ctx, collector: collector, page: make([]byte, 0, pageSize(size)), onPage: progress,
		credit: make(chan struct{}, pagesUnderWay),
	}
}

func (w *PageWriter) usable() error {
	switch {
	case w == nil || cap(w.page) == 0:
		return errors.New("flavors: this PageWriter was not made by NewPageWriter")
	case w.ctx == nil:
		return actor.ErrNilContext
	case !w.collector.isMade():
		return errNoReference
	}
	return nil
}

// Write implements io.Writer. Its error may be that of an earlier page.
func (w *PageWriter) Write(p []byte) (n int, err error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.closed {
		return 0, ErrPagingEnded
	}
	for n < len(p) {
		m := copy(w.page[len(w.page):cap(w.page)], p[n:])
		w.page = w.page[:len(w.page)+m]
		n += m
		if len(w.page) == cap(w.page) {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush sends the page, once there is credit for one more.
func (w *PageWriter) flush() error {
	if err := w.failed(); err != nil || len(w.page) == 0 {
		return err
	}
	select {
	case w.credit <- struct{}{}:
	case <-w.ctx.Done():
		return w.fail(context.Cause(w.ctx))
	}
	w.collector.callSoon(w.ctx, gotPage, w.page).OnComplete(func(_ any, err error) {
		if err != nil {
			_ = w.fail(err)
		}
		<-w.credit
	})
	if err := w.failed(); err != nil {
		return err
	}
	w.sent += int64(len(w.page))
	w.page = w.page[:0]
	if w.onPage != nil {
		w.onPage(w.sent)
	}
	return nil
}

func (w *PageWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *PageWriter) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = usercode.Wrap(err, "writing pages")
	}
	return w.err
}

// Close sends what is left and endedPaging, and waits until the collector has taken all of it.
func (w *PageWriter) Close() error {
	if err := w.usable(); err != nil {
		return err
	}
	if w.closed {
		return nil
	}
	w.closed = true
	if err := w.flush(); err != nil {
		return w.abandon(err)
	}
	for range pagesUnderWay { // All credit back: every page has been answered.
		select {
		case w.credit <- struct{}{}:
		case <-w.ctx.Done():
			return w.abandon(w.fail(context.Cause(w.ctx)))
		}
	}
	if err := w.failed(); err != nil {
		return w.abandon(err)
	}
	if _, err := w.collector.callSoon(w.ctx, endedPaging).Await(w.ctx); err != nil {
		return w.fail(err)
	}
	return nil
}

// CloseWithError tells a collector of this module that the pages end early, and why. Stock collectors cannot be told.
func (w *PageWriter) CloseWithError(err error) {
	if w.usable() == nil && !w.closed {
		w.closed = true
		_ = w.abandon(err)
	}
}

func (w *PageWriter) abandon(err error) error {
	if err != nil {
		c := w.collector.Conn()
		c.Runtime().Go("ending pages early", func() {
			_ = w.collector.callNoAnswerSoon(c.Context(), pagingFailed, usercode.ErrorText(err))
		})
	}
	return err
}
