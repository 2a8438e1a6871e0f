package paging

import (
	"context"
	"errors"
	"io"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// internal has what package flavors exports to this module only.
var internal = flavors.Internal.Export(seam.Token{})

// Pager produces the pages that [Send] sends, like Twisted's Pager.
type Pager interface {
	// NextPage returns the next page, which is any value that can be sent, or io.EOF if there are no more. It may block.
	// The page is encoded before the next call of NextPage, which may reuse its memory.
	NextPage() (page any, err error)
}

// DefaultSize is the default size of a page, in bytes. Larger pages need fewer calls; smaller ones delay other calls on
// the connection less. Twisted's is 8192.
const DefaultSize = 32 << 10

// The wire methods of a collector. Stock collectors have no pagingFailed.
const (
	gotPage      = "gotPage"
	endedPaging  = "endedPaging"
	pagingFailed = "pagingFailed"
)

// Send sends a pager's pages to a peer's collector, as Twisted's pagers do: gotPage with each page and endedPaging
// after the last, without asking for answers. It waits while the connection has as many unwritten bytes as its limit
// allows, so it adds at most one page to them. Other calls on the connection proceed meanwhile.
//
// The Deferred completes with nil when endedPaging was sent. It fails with the pager's error, or if the connection
// ends. Cancelling it ends the sending. If sending ends early, a collector of this module is told; a stock one waits
// for ever.
func Send(collector *flavors.RemoteReference, p Pager) *actor.Deferred {
	switch {
	case collector.Conn() == nil:
		return actor.Failed(collector.Err())
	case p == nil || usercode.IsNilPointer(p):
		return actor.Failed(errors.New("paging: Send was given no pager"))
	}
	rt := collector.Conn().Runtime()
	ctx, cancel := context.WithCancelCause(collector.Conn().Context())
	d := actor.NewDeferred(rt)
	d.OnCancel(func() { cancel(actor.ErrCancelled) })
	if !rt.Go("sending pages", func() {
		defer cancel(nil)
		err := actor.ErrGoexit
		defer func() { // also if the pager calls runtime.Goexit
			if err == actor.ErrGoexit {
				err = failPaging(collector, err)
			}
			d.Complete(nil, err)
		}()
		err = sendPages(ctx, collector, p)
	}) {
		cancel(nil)
		return actor.Failed(errors.New("paging: no pages are sent while the runtime closes"))
	}
	return d
}

func sendPages(ctx context.Context, collector *flavors.RemoteReference, p Pager) error {
	for {
		if err := collector.Conn().WaitSent(ctx); err != nil {
			return failPaging(collector, err)
		}
		page, err := nextPage(collector, p)
		if usercode.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = flavors.Send(ctx, collector, gotPage, page)
		}
		if err != nil {
			return failPaging(collector, err)
		}
	}
	return flavors.Send(ctx, collector, endedPaging)
}

// nextPage calls the pager and turns a panic into an error.
func nextPage(collector *flavors.RemoteReference, p Pager) (page any, err error) {
	defer func() {
		if r := recover(); r != nil {
			stack := debug.Stack()
			usercode.Log(func() {
				collector.Conn().Logger().Error().Bytes("stack", stack).Msgf("a pager panicked with a value of type %T", r)
			})
			page, err = nil, &flavors.PanicError{Value: r, Stack: stack}
		}
	}()
	return p.NextPage()
}

// failPaging tells the collector that the pages end early, and returns the error.
func failPaging(collector *flavors.RemoteReference, err error) error {
	err = usercode.Wrap(err, "sending pages")
	if ctx := collector.Conn().Context(); ctx.Err() == nil {
		_ = flavors.Send(ctx, collector, pagingFailed, usercode.ErrorText(err))
	}
	return err
}

type bytesPager struct {
	rest []byte
	size int
}

// FromBytes returns a pager that cuts data into pages of size bytes; [DefaultSize] if size is not positive. The data
// must not change until it has been sent.
func FromBytes(data []byte, size int) Pager {
	return &bytesPager{rest: data, size: pageSize(size)}
}

func (p *bytesPager) NextPage() (any, error) {
	if len(p.rest) == 0 {
		return nil, io.EOF
	}
	page := p.rest[:min(p.size, len(p.rest))]
	p.rest = p.rest[len(page):]
	return page, nil
}

type readerPager struct {
	r    io.Reader
	page []byte
}

// FromReader returns a pager that reads pages of size bytes from r; [DefaultSize] if size is not positive. It does not
// close r.
func FromReader(r io.Reader, size int) Pager {
	return &readerPager{r: r, page: make([]byte, pageSize(size))}
}

func (p *readerPager) NextPage() (any, error) {
	if p.r == nil {
		return nil, errors.New("paging: FromReader was given no reader")
	}
	n, err := io.ReadFull(p.r, p.page)
	switch {
	case n > 0 && (err == nil || usercode.Is(err, io.ErrUnexpectedEOF)):
		return p.page[:n], nil
	case err == nil, usercode.Is(err, io.ErrUnexpectedEOF):
		return nil, io.EOF
	}
	return nil, err
}

func pageSize(size int) int {
	if size <= 0 {
		return DefaultSize
	}
	return size
}
