package conformance

import (
	"sync"

	"github.com/perspectivebroker/pb/flavors"
)

// left has the values that peers have left for others, undecoded. It belongs to the process.
type left struct {
	on bool // the option -relaying was given

	mu     sync.Mutex
	values map[string]*flavors.Relayed // guarded by mu
	bytes  int                         // of all values and keys; guarded by mu
}

// The limits of what is left, so that strangers cannot fill the memory.
const (
	mostLeft  = 10_000
	bytesLeft = 32 << 20
)

// errNotRelaying is the error of both methods without the option.
var errNotRelaying = flavors.NoSuchMethod.New("No such method: the server was started without -relaying")

func (l *left) put(key string, x *flavors.Relayed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, given := l.values[key]
	size := l.bytes + x.Len() - before.Len()
	if !given {
		size += len(key)
	}
	switch {
	case size > bytesLeft:
		return flavors.ValueError.Errorf("more than %d bytes would be left", bytesLeft)
	case !given && len(l.values) >= mostLeft:
		return flavors.ValueError.Errorf("%d values are left, more are not taken", mostLeft)
	case l.values == nil:
		l.values = map[string]*flavors.Relayed{}
	}
	l.values[key], l.bytes = x, size
	before.Release()
	return nil
}

func (l *left) get(key string) (*flavors.Relayed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.values[key]
	if !ok {
		return nil, flavors.KeyError.Errorf("nothing was left as %q", key)
	}
	return x, nil
}

// RemoteLeave keeps any value for the process, as it came. It lets go of the one that had the key before.
func (c *Conformance) RemoteLeave(key string, x *flavors.Relayed) error {
	if !c.server.left.on {
		return errNotRelaying
	}
	return c.server.left.put(key, x)
}

// RemoteFetch answers a value that was left, by whatever connection.
func (c *Conformance) RemoteFetch(key string) (*flavors.Relayed, error) {
	if !c.server.left.on {
		return nil, errNotRelaying
	}
	return c.server.left.get(key)
}
