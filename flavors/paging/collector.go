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

// Collector is what pages are sent to: Twisted's page collector. It is given to a method of the peer's as an
// argument, and sends what it gets to functions, one at a time in its own actor.
type Collector struct {
	flavors.Referenceable
	page func(page any) error
	// weighed takes the place of page, with about what the page takes in memory.
	weighed func(page any, weight int) error
	ended   func(err error)
	once    sync.Once
}

// NewCollector makes a collector. page is called with each page; its error, or a panic, is answered if the sender
// wants an answer, and then ended is called with it. ended is called once, with nil behind the last page. Both run in
// the collector's turn and must not wait.
func NewCollector(page func(page any) error, ended func(err error)) *Collector {
	return &Collector{page: page, ended: ended}
}

// errNoPages is answered by a collector to which no function was given.
var errNoPages = errors.New(
	"paging: this Collector has no function that takes pages; make it with NewCollector",
)

// RemoteGotPage takes a page.
func (c *Collector) RemoteGotPage(inv *flavors.Invocation, page any) error {
	take := c.page
	switch {
	case c.weighed != nil:
		take = func(page any) error { return c.weighed(page, internal.Weight(inv)) }
	case take == nil:
		return errNoPages
	}
	var err error
	if p := usercode.Do(func() { err = take(page) }); p != nil {
		failure := &flavors.PanicError{What: "the function that takes pages", Value: p.Value, Stack: p.Stack}
		c.end(failure)
		panic(p.Value)
	}
	if err != nil {
		c.end(err)
	}
	return err
}

// RemoteEndedPaging comes behind the last page.
func (c *Collector) RemoteEndedPaging() { c.end(nil) }

// RemotePagingFailed comes in the place of endedPaging, from senders of this module.
func (c *Collector) RemotePagingFailed(text string) {
	c.end(pagesFailed(text))
}

func (c *Collector) end(err error) {
	c.once.Do(func() {
		if c.ended != nil {
			c.ended(err)
		}
	})
}

// MaxKept is how many bytes [GetAll] keeps before it gives up. Each page counts what it takes in memory: its
// bytes, something for the page itself, and more for the parts of a page that is no byte string. Who expects more reads
// them as they come: [Open].
const MaxKept = 256 << 20

// GetAll calls a method of the peer's that expects a page collector as its first argument, as Twisted's
// getAllPages does, and waits for the pages. It keeps up to [MaxKept] bytes.
func GetAll(ctx context.Context, ref *flavors.RemoteReference, method string, args ...any) ([]any, error) {
	return getAll(ctx, ref, MaxKept, method, args)
}

func getAll(
	ctx context.Context, ref *flavors.RemoteReference, most int, method string, args []any,
) ([]any, error) {
	if err := pagesWanted(ctx, ref); err != nil {
		return nil, err
	}
	d := actor.NewDeferred(ref.Conn().Runtime())
	var pages []any
	size := 0
	collector := NewCollector(nil, func(err error) { d.Complete(nil, err) })
	collector.weighed = func(page any, weight int) error {
		if size += max(weight, minPageWeight); size > most {
			pages = nil
			return fmt.Errorf("paging: the pages that %s sends take more than %d bytes; read them with Open", method, most)
		}
		pages = append(pages, page)
		return nil
	}
	if err := callWithCollector(ctx, d, ref, method, collector, args); err != nil {
		return nil, err
	}
	return pages, nil
}

// minPageWeight is about what an empty page takes: a place in the list, which grows by doubling, and a header.
const minPageWeight = 128

// pagesWanted says why no pages can be asked for.
func pagesWanted(ctx context.Context, ref *flavors.RemoteReference) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	if ref.Conn() == nil {
		return ref.Err()
	}
	return nil
}

// callWithCollector makes the call and waits until both it and the paging have ended.
func callWithCollector(
	ctx context.Context,
	ended *actor.Deferred,
	ref *flavors.RemoteReference,
	method string,
	collector any,
	args []any,
) error {
	call := ref.CallRemote(method, append([]any{collector}, args...)...)
	call.OnComplete(func(_ any, err error) {
		if err != nil {
			ended.Complete(nil, err)
		}
	})
	stop := context.AfterFunc(ref.Conn().Context(), func() { ended.Complete(nil, ref.Err()) })
	defer stop()
	if _, err := ended.Await(ctx); err != nil {
		call.Cancel()
		return usercode.Wrap(err, "the pages of %s", method)
	}
	return nil
}

// String names the collector in logs.
func (c *Collector) String() string { return "<page collector>" }

// Format implements fmt.Formatter by String.
func (c *Collector) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
