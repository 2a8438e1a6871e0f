package paging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// pagesUnderWay is the most pages of a [Writer] that the collector has not answered.
const pagesUnderWay = 8

// ErrEnded is the error of reads and writes after Close.
var ErrEnded = errors.New("paging: the paging has ended")

// Writer is an io.WriteCloser that writes to a peer's page collector. Unlike [Send] it asks for an answer to each page.
// So it writes as fast as the collector takes the pages and learns of its errors. It keeps one page and at most 8 that
// are not answered.
//
// A Writer is for one goroutine at a time. Its methods block, so an actor must not use them in its turn.
type Writer struct {
	ctx       context.Context
	collector *flavors.RemoteReference
	page      []byte
	onPage    func(written int64)

	credit chan struct{} // a token for each unanswered page
	mu     sync.Mutex
	err    error // the first error of a page
	sent   int64
	closed bool
}

// NewWriter returns a writer of pages of size bytes; [DefaultSize] if size is not positive. When ctx ends, its methods
// stop waiting and fail. After each page progress is called with the number of bytes sent so far; it may be nil.
func NewWriter(
	ctx context.Context,
	collector *flavors.RemoteReference,
	size int,
	progress func(written int64),
) *Writer {
	return &Writer{
		ctx: ctx, collector: collector, page: make([]byte, 0, pageSize(size)), onPage: progress,
		credit: make(chan struct{}, pagesUnderWay),
	}
}

func (w *Writer) usable() error {
	switch {
	case w == nil || cap(w.page) == 0:
		return errors.New("paging: this Writer was not made by NewWriter")
	case w.ctx == nil:
		return actor.ErrNilContext
	case w.collector.Conn() == nil:
		return w.collector.Err()
	}
	return nil
}

// Write implements io.Writer. It may return the error of an earlier page.
func (w *Writer) Write(p []byte) (n int, err error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.closed {
		return 0, ErrEnded
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

// flush waits for credit and sends the page.
func (w *Writer) flush() error {
	if err := w.failed(); err != nil || len(w.page) == 0 {
		return err
	}
	select {
	case w.credit <- struct{}{}:
	case <-w.ctx.Done():
		return w.fail(context.Cause(w.ctx))
	}
	flavors.Start(w.ctx, w.collector, gotPage, w.page).OnComplete(func(_ any, err error) {
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

func (w *Writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = usercode.Wrap(err, "writing pages")
	}
	return w.err
}

// Close sends the rest and endedPaging, and waits until the collector has answered all of it.
func (w *Writer) Close() error {
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
	for range pagesUnderWay { // With all credit back, every page has been answered.
		select {
		case w.credit <- struct{}{}:
		case <-w.ctx.Done():
			return w.abandon(w.fail(context.Cause(w.ctx)))
		}
	}
	if w.ctx.Err() != nil { // The select above takes either case when both are ready.
		return w.abandon(w.fail(context.Cause(w.ctx)))
	}
	if err := w.failed(); err != nil {
		return w.abandon(err)
	}
	if _, err := flavors.Start(w.ctx, w.collector, endedPaging).Await(w.ctx); err != nil {
		// It may not have been sent. A collector that has it ignores the failure.
		return w.abandon(w.fail(err))
	}
	return nil
}

// CloseWithError ends the paging early and tells a collector of this module why. A stock collector ignores it.
func (w *Writer) CloseWithError(err error) {
	if w.usable() == nil && !w.closed {
		w.closed = true
		_ = w.abandon(err)
	}
}

func (w *Writer) abandon(err error) error {
	if err != nil {
		c := w.collector.Conn()
		c.Runtime().Go("ending pages early", func() {
			_ = flavors.Send(c.Context(), w.collector, pagingFailed, usercode.ErrorText(err))
		})
	}
	return err
}

// String names the writer in logs.
func (w *Writer) String() string { return "<page writer>" }

// Format implements fmt.Formatter by String.
func (w *Writer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.String()) }
