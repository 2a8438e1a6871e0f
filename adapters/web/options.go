package web

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/broker"
)

// MaxBody is the most bytes of a request's body: the longest string that a stock peer accepts.
const MaxBody = 640 << 10

const (
	// maxHeader is the most bytes of the headers of a request or a response. It is net/http's default for requests.
	maxHeader = 1 << 20
	// pauseAt is how many unsent bytes of a response make a front pause the back, resumeAt how few make it resume.
	pauseAt, resumeAt = 256 << 10, 64 << 10
	// window is how many bytes of a response a back sends ahead of the front's answers.
	window = 512 << 10
	// maxWrite is the most bytes in one call of write.
	maxWrite = 128 << 10
	// producerDelay is how long a handler runs before its producer is registered, if it has not sent anything.
	producerDelay = 5 * time.Millisecond
)

// ErrClientGone is the cause of the end of a request's context when the front's client has gone.
var ErrClientGone = errors.New("web: the client has gone")

// ErrStalled is the cause of the end of a request's context when the front took nothing for too long; see
// [WithStallTimeout].
var ErrStalled = errors.New("web: the front takes nothing")

// Client supplies the connection to a back. *[broker.ReconnectingClient] implements it.
type Client interface {
	// Conn returns the present connection. It waits for one until ctx ends.
	Conn(ctx context.Context) (*broker.Conn, error)
}

// ClientFunc is a function that implements [Client].
type ClientFunc func(ctx context.Context) (*broker.Conn, error)

// Conn implements Client.
func (f ClientFunc) Conn(ctx context.Context) (*broker.Conn, error) { return f(ctx) }

// MountOption configures [Mount].
type MountOption interface{ applyMount(m *mount) }

// PublishOption configures [Publish].
type PublishOption interface{ applyPublish(p *Publisher) }

type mountOption func(*mount)

func (f mountOption) applyMount(m *mount) { f(m) }

type publishOption func(*Publisher)

func (f publishOption) applyPublish(p *Publisher) { f(p) }

// WithPrefix sets the path at which the back is mounted. It is not part of the path that the back's resources see.
// Requests for other paths are answered with 404. A slash at its end makes no difference. The default is "/".
func WithPrefix(path string) MountOption {
	return mountOption(func(m *mount) { m.prefix = segments(strings.TrimRight(path, "/")) })
}

// WithConnectTimeout sets how long a request waits for a connection to the back before it is answered with 502. The
// default is a second.
func WithConnectTimeout(d time.Duration) MountOption {
	return mountOption(func(m *mount) { m.connectTimeout = d })
}

// WithResponseTimeout sets how long the back may take until the first byte of its response. Then the request is
// answered with 504. The default is a minute.
func WithResponseTimeout(d time.Duration) MountOption {
	return mountOption(func(m *mount) { m.responseTimeout = d })
}

// WithResponseBuffer sets how many bytes of a response may wait for a slow client if the back does not pause when it is
// told to. Then the client's connection is ended. The default is 64 MiB.
func WithResponseBuffer(bytes int) MountOption {
	return mountOption(func(m *mount) { m.buffer = bytes })
}

// WithStallTimeout sets how long a handler waits for a front that takes nothing. Then the handler's writes fail with
// [ErrStalled]. The default is two minutes.
func WithStallTimeout(d time.Duration) PublishOption {
	return publishOption(func(p *Publisher) { p.stall = d })
}
