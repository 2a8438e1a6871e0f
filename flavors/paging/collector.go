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

// Collector is a page collector that passes pages to a function. It is passed to a method of the peer.
type Collector struct {
	flavors.Referenceable
	page func(page any) error
	// weighed is called in place of page, with about the memory that the page takes.
	weighed func(page any, weight int) error
	ended   func(err error)
	once    sync.Once
}

// NewCollector returns a collector that calls page with each page. It calls ended once: with nil after the last page,
// or with the error or panic of page, which is also the answer if the sender asked for one. Both functions run in the
// collector's turn and must not block.
func NewCollector(page func(page any) error, ended func(err error)) *Collector {
	return &Collector{page: page, ended: ended}
}

// errNoPages is the answer of a collector without a function.
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

// RemoteEndedPaging follows the last page.
func (c *Collector) RemoteEndedPaging() { c.end(nil) }

// RemotePagingFailed comes in place of endedPaging if a sender of this module ends early.
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

// MaxKept is the most bytes that [GetAll] keeps. Each page counts the memory it takes, at least 128 bytes. For more,
// use [Open].
const MaxKept = 256 << 20

// GetAll calls a method of the peer with a page collector as its first argument, and args after it. It waits for the
// pages and returns them, as Twisted's getAllPages does. It fails if they take more than [MaxKept] bytes.
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

// minPageWeight is about the memory of an empty page: a place in the list, which grows by doubling, and a header.
const minPageWeight = 128

// pagesWanted checks the parameters of Open and GetAll.
func pagesWanted(ctx context.Context, ref *flavors.RemoteReference) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	if ref.Conn() == nil {
		return ref.Err()
	}
	return nil
}

// callWithCollector makes the call and waits until the paging has ended or the call has failed.
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
