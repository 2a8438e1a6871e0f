package paging

import (
	"context"
	"errors"
	"io"
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// internal is what package flavors has for this one only.
var internal = flavors.Internal.Export(seam.Token{})

// Pager is something large that is sent in pages: Twisted's Pager. See [Send].
type Pager interface {
	// NextPage returns the next page, anything that can be sent, and the error io.EOF when there are no more. It runs in a
	// goroutine of the sending's own and may wait. The page is encoded before NextPage is called again, so its memory can
	// be used again.
	NextPage() (page any, err error)
}

// DefaultSize is how large pages of bytes are where nobody says otherwise. A larger one costs fewer calls, a
// smaller one holds up fewer other calls on the connection; Twisted's is 8192.
const DefaultSize = 32 << 10

// The wire methods of a page collector. The last one is ours: stock collectors do not have it.
const (
	gotPage      = "gotPage"
	endedPaging  = "endedPaging"
	pagingFailed = "pagingFailed"
)

// Send sends pages to a peer's collector, as Twisted's pagers do: [message … gotPage page] for each and
// endedPaging behind the last, none of which wants an answer. It goes on only while the connection takes what it sends,
// so what waits in memory is a page and the connection's high-water mark. Other calls on the connection go on
// meanwhile.
//
// The Deferred completes, with nil, when endedPaging is on its way. It fails with the pager's error, and when the
// connection ends; cancelling it ends the sending. A collector of this module is told that no more will come; a stock
// one waits for ever.
func Send(collector *flavors.RemoteReference, p Pager) *actor.Deferred {
	switch {
	case collector.Conn() == nil:
		return actor.Failed(collector.Err())
	case p == nil || isNilPointer(p):
		return actor.Failed(errors.New("paging: Send was given no pager"))
	}
	rt := collector.Conn().Runtime()
	ctx, cancel := context.WithCancelCause(collector.Conn().Context())
	d := actor.NewDeferred(rt)
	d.OnCancel(func() { cancel(actor.ErrCancelled) })
	if !rt.Go("sending pages", func() {
		defer cancel(nil)
		err := actor.ErrGoexit
		defer func() { // also when the pager ends the goroutine
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
			err = internal.CallNoAnswerSoon(ctx, collector, gotPage, page)
		}
		if err != nil {
			return failPaging(collector, err)
		}
	}
	return internal.CallNoAnswerSoon(ctx, collector, endedPaging)
}

// nextPage makes an error of a pager's panic.
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

// failPaging tells the collector that the pages end here, as soon as there is room for it: what was to be sent has
// ended, the connection has not.
func failPaging(collector *flavors.RemoteReference, err error) error {
	err = usercode.Wrap(err, "sending pages")
	if ctx := collector.Conn().Context(); ctx.Err() == nil {
		_ = internal.CallNoAnswerSoon(ctx, collector, pagingFailed, usercode.ErrorText(err))
	}
	return err
}

type bytesPager struct {
	rest []byte
	size int
}

// FromBytes makes pages of at most size bytes; [DefaultSize] where size is not positive. The data must not change until
// it has been sent.
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

// FromReader reads pages of at most size bytes; [DefaultSize] where size is not positive. It does not close the
// reader.
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

func isNilPointer(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}
