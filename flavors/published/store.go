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

// Key says whose state is kept: which original of which server, as seen by whom. All of it but the server is
// the peer's choice.
type Key struct {
	// Server is who published it, so that servers which share a store cannot take the place of each other: the URL that
	// was dialed, without the name behind it, or what broker.WithServerIdentity says.
	Server                   string
	Service, Perspective, ID string
}

// Store keeps the states of published originals from session to session. Its methods are called in the turns
// of copies, so from several goroutines, and may take the time that a disk takes. What it gives back is checked; it
// need not know what it is.
type Store interface {
	// Load gives what was last saved under the key, or an error that is fs.ErrNotExist if there is nothing.
	Load(key Key) ([]byte, error)
	// Save keeps data in the place of what was there. After a crash there is either the one or the other.
	Save(key Key, data []byte) error
}

// keptState is what is stored: an expression of Jelly, in Banana without a vocabulary.
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

// server is who published it; empty where that is not known.
func (p *publication) server() string { return p.mark.Remote.Conn().ServerIdentity() }

// isKept reports whether states outlive the session. Where it is not known whose they are they do not: another peer
// could take the place of this one.
func (p *publication) isKept() bool { return p.kept.store != nil && p.server() != "" }

// idText is a published id as text. checkPublishedID has seen to it that it is a scalar.
func idText(id any) string {
	switch x := id.(type) {
	case string:
		return x
	case []byte:
		return string(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64) // As in the names of files that were written before.
	}
	return jelly.Format(id)
}

// checkPublishedID refuses containers and objects. Twisted's ids may be anything that can be printed, but what can be
// printed may contain itself, and it would name a file.
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

// load takes the state from the store, if it is what the original published last. A state that cannot be read counts as
// none.
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
		p.warn(err, "a kept state cannot be read, it is fetched anew")
		return nil, false
	}
	// A name that was cut or folded on its way to the disk may have led to another's state. Timestamps are compared as in
	// Twisted, for being the same: an original that was set back to an earlier time is not what was kept either.
	same := k.Class == p.kept.class && Key{k.Server, k.Service, k.Perspective, k.ID} == p.key() &&
		k.Timestamp == p.mark.Timestamp
	return k.State, same
}

// save keeps a state that was fetched. That it cannot be kept is the next session's loss, not this one's.
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
		p.warn(err, "a state cannot be kept")
	}
}

// calling calls a method of the store, which may be the application's own. What a store does wrong costs what it was to
// keep.
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

// clipped is the beginning of what a peer has named.
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
		return nil, errors.New("it holds references, which are good in this session only")
	}
	return fragment.Append(nil, nil)
}

// decodeKept reads what is in a store with the caution that is due to what a peer sends: it came from one.
func decodeKept(data []byte, registry *jelly.Registry) (k keptState, err error) {
	var scanner banana.Scanner
	scanner.Init(banana.ProfileNone, banana.Limits{})
	n, err := scanner.Next(data)
	if err != nil {
		return k, err
	}
	if n != len(data) {
		return k, errors.New("it is no single expression, or is cut short")
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
