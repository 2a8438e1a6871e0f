package published

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"strconv"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Key identifies a state: the original, its server, and the perspective that sees it. The peer chooses all fields but
// Server.
type Key struct {
	// Server is the URL that was dialed, without the object's name, or the name given by broker.WithServerIdentity. It
	// keeps servers that share a store apart.
	Server                   string
	Service, Perspective, ID string
}

// Store keeps states from session to session. Its methods are called in the turns of copies, so concurrently, and may
// block for a disk. The data is opaque to the store and checked after a Load.
type Store interface {
	// Load returns the data last saved under the key, or an error that is fs.ErrNotExist if there is none.
	Load(key Key) ([]byte, error)
	// Save replaces the data under the key. After a crash there must be either the old data or the new.
	Save(key Key, data []byte) error
}

// keptState is the stored value, a Jelly expression in Banana without a vocabulary.
type keptState struct {
	Class       string  `pb:"class"`
	Server      string  `pb:"server"`
	Service     string  `pb:"service"`
	Perspective string  `pb:"perspective"`
	ID          string  `pb:"publishedID"`
	Timestamp   float64 `pb:"timestamp"`
	State       any     `pb:"state"`
}

func (p *publication) key() Key {
	return Key{
		Server:      p.server(),
		Service:     p.mark.Service,
		Perspective: p.mark.Perspective,
		ID:          idText(p.mark.ID),
	}
}

// server identifies the server; empty if it is not known.
func (p *publication) server() string { return p.mark.Remote.Conn().ServerIdentity() }

// isKept reports whether the state is stored. It is not if the server is unknown, because another peer could then
// replace it.
func (p *publication) isKept() bool { return p.kept.store != nil && p.server() != "" }

// idText returns a published id, a scalar, as text.
func idText(id any) string {
	switch x := id.(type) {
	case string:
		return x
	case []byte:
		return string(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64) // as in the file names of earlier versions
	}
	return jelly.Format(id)
}

// checkPublishedID refuses containers and objects. Twisted allows any printable id, but a container may contain itself,
// and the id becomes a file name.
func checkPublishedID(id any) error {
	switch id.(type) {
	case string, []byte, int64, *big.Int, float64, bool:
		return nil
	}
	return flavors.TypeError.Errorf(
		"the publishedID of a published original is a str, bytes or a number here, not %s",
		jelly.TypeName(id),
	)
}

// load returns the state from the store if it is what the original published last. A state that cannot be read is
// ignored.
func (p *publication) load() (state any, ok bool) {
	if !p.isKept() {
		return nil, false
	}
	var data []byte
	err := p.calling("Load", func() (err error) { data, err = p.kept.store.Load(p.key()); return err })
	if usercode.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	var k keptState
	if err == nil {
		k, err = decodeKept(data, p.kept.registry)
	}
	if err != nil {
		p.warn(err, "a kept state cannot be read; fetching it")
		return nil, false
	}
	// A store may confuse keys, for example on a file system that ignores case. As in Twisted, timestamps must be equal:
	// an original that was set back to an earlier time differs as well.
	same := k.Class == p.kept.class && Key{k.Server, k.Service, k.Perspective, k.ID} == p.key() &&
		k.Timestamp == p.mark.Timestamp
	return k.State, same
}

// save stores a fetched state. A failure is only logged, because it affects the next session only.
func (p *publication) save(state any) {
	if !p.isKept() {
		return
	}
	key := p.key()
	data, err := encodeKept(
		keptState{p.kept.class, key.Server, key.Service, key.Perspective, key.ID, p.mark.Timestamp, state},
	)
	if err == nil {
		err = p.calling("Save", func() error { return p.kept.store.Save(key, data) })
	}
	if err != nil {
		p.warn(err, "a state cannot be stored")
	}
}

// calling calls a method of the store and turns a panic into an error.
func (p *publication) calling(method string, f func() error) (err error) {
	if panicked := usercode.Do(func() { err = f() }); panicked != nil {
		return &flavors.PanicError{
			What:  fmt.Sprintf("the %s method of a %T", method, p.kept.store),
			Value: panicked.Value,
			Stack: panicked.Stack,
		}
	}
	return err
}

func (p *publication) warn(err error, text string) {
	usercode.Log(func() {
		p.mark.Remote.Conn().
			Logger().
			Warn().
			Err(usercode.LogError(err)).
			Str("class", p.kept.class).
			Str("published", clipped(p.key().ID)).
			Msg(text)
	})
}

// clipped returns at most the first 80 bytes of a name that a peer chose.
func clipped(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func encodeKept(k keptState) ([]byte, error) {
	fragment := jelly.NewFragment(jelly.Context{Root: "published"})
	defer fragment.Free()
	if err := fragment.Jelly(k); err != nil {
		return nil, err
	}
	if fragment.Holes() > 0 {
		return nil, errors.New("it holds references, which are valid in this session only")
	}
	return fragment.Append(nil, nil)
}

// decodeKept decodes data from a store with the same checks as a message of a peer.
func decodeKept(data []byte, registry *jelly.Registry) (k keptState, err error) {
	var scanner banana.Scanner
	scanner.Init(banana.ProfileNone, banana.Limits{})
	n, err := scanner.Next(data)
	if err != nil {
		return k, err
	}
	if n != len(data) {
		return k, errors.New("it is not a single complete expression")
	}
	var reader banana.Reader
	reader.Reset(data, banana.ProfileNone)
	decoder := jelly.Decoder{Registry: registry}
	var v any
	if err := decoder.Decode(&reader, &v); err != nil {
		return k, err
	}
	if err := jelly.Unjelly(decoder.Unbound(), nil, nil); err != nil {
		return k, err
	}
	return k, jelly.Assign(&k, v)
}
