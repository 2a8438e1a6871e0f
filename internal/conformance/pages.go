package conformance

import (
	"io"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
)

// maxPagings limits the pagings under way on a connection. Each keeps a goroutine and a page.
const maxPagings = 200

// RemotePages sends size bytes to a collector, in pages of chunk bytes. It answers once the last page is on its way.
func (c *Conformance) RemotePages(
	inv *flavors.Invocation,
	collector *flavors.RemoteReference,
	size, chunk int64,
) (*actor.Deferred, error) {
	if c.pagings >= maxPagings {
		return nil, broker.Busy.Errorf("%d pagings are under way on this connection", c.pagings)
	}
	if size < 0 || chunk <= 0 || chunk > banana.DefaultString {
		return nil, flavors.ValueError.Errorf(
			"%d bytes cannot be sent in pages of %d: a page has 1 to %d",
			size,
			chunk,
			banana.DefaultString,
		)
	}
	data := io.LimitReader(&pattern{}, size)
	c.pagings++
	return paging.Send(collector, paging.FromReader(data, int(min(chunk, max(size, 1))))).
		Then(inv, func(_ any, err error) (any, error) {
			c.pagings--
			return nil, err
		}), nil
}

// pattern is a reader whose byte i is i mod 251.
type pattern struct{ next int }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.next)
		p.next = (p.next + 1) % 251
	}
	return len(b), nil
}

// RemoteCollect passes the peer's method a page collector and returns the number of bytes received.
func (*Conformance) RemoteCollect(
	inv *flavors.Invocation,
	ref *flavors.RemoteReference,
	method string,
) *actor.Deferred {
	total := 0
	d := actor.NewDeferred(inv.Conn().Runtime())
	collector := paging.NewCollector(func(page any) error {
		switch p := page.(type) {
		case []byte:
			total += len(p)
		case string:
			total += len(p)
		default:
			return flavors.TypeError.Errorf("a page is bytes, not a %T", page)
		}
		return nil
	}, func(err error) { d.Complete(total, err) })
	ref.CallRemote(method, collector).OnComplete(func(_ any, err error) {
		if err != nil {
			d.Complete(nil, err)
		}
	})
	return d
}
