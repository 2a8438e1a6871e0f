package flavors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Metadata is what a call carries beside its arguments, under dialect pb+1. A value is a string or a []byte. The key
// "timeout" is reserved for the deadline of the call, and is not in a Metadata. The keys "traceparent" and "tracestate"
// are those of W3C's trace context. Every other key is the application's.
//
// A call has at most [MaxMetadataEntries] entries in at most [MaxMetadataBytes].
type Metadata map[string]any

// The limits of a call's metadata, with the entry for the deadline.
const (
	MaxMetadataEntries = 64
	// MaxMetadataBytes is the limit of the metadata as it is on the wire.
	MaxMetadataBytes = 8 << 10
)

// timeoutKey is the key of the time that a call has left, in milliseconds.
const timeoutKey = "timeout"

// outgoingKey finds the Metadata of calls to be made in a context.
type outgoingKey struct{}

// WithMetadata returns a context whose calls ([Call], [Start], [Send] and those made of them) carry m and what ctx has
// for them already. Where both have a key, m counts. WithMetadata copies m, but not the values.
//
// The peer gets the metadata if the connection speaks dialect pb+1. Any other peer gets the call without it. A call
// fails if its metadata exceeds a limit, or has a value that is neither a string nor a []byte.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	before := OutgoingMetadata(ctx)
	if len(before) == 0 {
		return context.WithValue(ctx, outgoingKey{}, maps.Clone(m))
	}
	both := make(Metadata, len(before)+len(m))
	maps.Copy(both, before)
	maps.Copy(both, m)
	return context.WithValue(ctx, outgoingKey{}, both)
}

// WithMetadataText is [WithMetadata] with one entry, for less.
func WithMetadataText(ctx context.Context, key, value string) context.Context {
	return &outgoingText{ctx, key, value}
}

// outgoingText is a context whose calls carry one entry more.
type outgoingText struct {
	context.Context
	key, value string
}

// Value implements context.Context.
func (c *outgoingText) Value(key any) any {
	if _, ok := key.(outgoingKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String names the context in logs.
func (c *outgoingText) String() string { return "flavors.WithMetadataText" }

// all returns the metadata of the context.
func (c *outgoingText) all() Metadata {
	m := Metadata{}
	maps.Copy(m, OutgoingMetadata(c.Context))
	m[c.key] = c.value
	return m
}

// OutgoingMetadata returns the metadata that calls made with ctx carry; nil if there is none. It must not be changed.
// What a call brought from the peer is not passed on by itself: see [Invocation.Metadata].
func OutgoingMetadata(ctx context.Context) Metadata {
	if ctx == nil {
		return nil
	}
	switch m := ctx.Value(outgoingKey{}).(type) {
	case Metadata:
		return m
	case *outgoingText:
		return m.all()
	}
	return nil
}

// Metadata returns what the call carried; nil if there was none. It must not be changed.
func (inv *Invocation) Metadata() Metadata {
	if inv == nil {
		return nil
	}
	return inv.metadata.all()
}

// receivedMetadata is what a call of the peer carried. Few calls are asked for it, so the map is made when it is
// needed.
type receivedMetadata struct {
	entries []metadataEntry
	first   [1]metadataEntry // for entries

	once sync.Once
	made Metadata
}

type metadataEntry struct {
	key, value string
	isBytes    bool
}

// all returns the metadata; nil if there is none.
func (m *receivedMetadata) all() Metadata {
	if m == nil {
		return nil
	}
	m.once.Do(func() {
		m.made = make(Metadata, len(m.entries))
		for _, e := range m.entries {
			if e.isBytes {
				m.made[e.key] = []byte(e.value)
			} else {
				m.made[e.key] = e.value
			}
		}
	})
	return m.made
}

// find returns the entry with a key.
func (m *receivedMetadata) find(key string) (e metadataEntry, ok bool) {
	if m != nil {
		for i := range m.entries {
			if m.entries[i].key == key {
				return m.entries[i], true
			}
		}
	}
	return e, false
}

// text returns the value of a key; "" if there is none, or it is no text.
func (m *receivedMetadata) text(key string) string {
	if e, ok := m.find(key); ok && !e.isBytes {
		return e.value
	}
	return ""
}

// appendMetadata encodes the entries of m in the order of their keys, without the head of the dictionary.
func appendMetadata(dst []byte, p banana.Profile, m Metadata) ([]byte, error) {
	var err error
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch v := m[key].(type) {
		case string:
			dst, err = appendTextEntry(dst, p, key, v)
		case []byte:
			dst, err = appendEntryKey(dst, p, key)
			dst = banana.AppendBytes(dst, p, v)
		default:
			if dst, err = appendEntryKey(dst, p, key); err == nil {
				err = TypeError.Errorf("metadata %q is a string or a []byte, not a %T", clipText(key, maxQuotedName), v)
			}
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendEntryKey(dst []byte, p banana.Profile, key string) ([]byte, error) {
	if key == timeoutKey {
		return dst, ValueError.Errorf("metadata %q is set by the library: give the call a context with a deadline", key)
	}
	if !utf8.ValidString(key) {
		return dst, ValueError.Errorf("metadata: the key %q is not UTF-8", clipText(key, maxQuotedName))
	}
	return appendText(banana.AppendList(dst, 2), p, key), nil
}

func appendTextEntry(dst []byte, p banana.Profile, key, value string) ([]byte, error) {
	dst, err := appendEntryKey(dst, p, key)
	if err != nil {
		return dst, err
	}
	if !utf8.ValidString(value) {
		name := clipText(key, maxQuotedName)
		return dst, ValueError.Errorf("metadata %q: the string is not UTF-8: give it as []byte", name)
	}
	return appendText(dst, p, value), nil
}

// encodeOutgoing sets the entries of a call's metadata to those that ctx has.
func encodeOutgoing(ctx context.Context, p banana.Profile, call *seam.OutgoingCall) (err error) {
	var m Metadata
	switch v := ctx.Value(outgoingKey{}).(type) {
	case Metadata:
		m = v
	case *outgoingText:
		if v.Context.Value(outgoingKey{}) == nil {
			return encodeText(p, call, v)
		}
		m = v.all()
	}
	call.Metadata, call.Entries, err = encodeMetadata(call.Metadata[:0], p, m, call.Timed)
	return err
}

// encodeText is encodeMetadata for one short entry. Others go by way of a map.
func encodeText(p banana.Profile, call *seam.OutgoingCall, v *outgoingText) (err error) {
	if len(v.key)+len(v.value) > MaxMetadataBytes/2 {
		call.Metadata, call.Entries, err = encodeMetadata(call.Metadata[:0], p, Metadata{v.key: v.value}, call.Timed)
		return err
	}
	call.Entries = 1
	if v.key == traceparentKey && len(v.value) == traceparentSize && p == banana.ProfilePB1 && utf8.ValidString(v.value) {
		call.Metadata = append(append(call.Metadata[:0], traceparentEntry...), v.value...)
		return nil
	}
	call.Metadata, err = appendTextEntry(call.Metadata[:0], p, v.key, v.value)
	return err
}

// encodeMetadata appends the entries of a call's metadata, of which there are n, and checks the limits. timed says that
// the call has a deadline, whose entry is not among them.
func encodeMetadata(dst []byte, p banana.Profile, m Metadata, timed bool) (entries []byte, n int, err error) {
	n = len(m)
	if n == 0 {
		return dst, 0, nil
	}
	all, room := n, MaxMetadataBytes-metadataHead
	if timed {
		all++
		room -= timeoutSize
	}
	if all > MaxMetadataEntries {
		return nil, 0, ValueError.Errorf("the metadata of a call has at most %d entries, not %d", MaxMetadataEntries, all)
	}
	if entries, err = appendMetadata(dst, p, m); err != nil {
		return nil, 0, err
	}
	if len(entries) > room {
		size := len(entries) + MaxMetadataBytes - room
		const what = "the metadata of a call has at most %d bytes on the wire, not %d"
		return nil, 0, ValueError.Errorf(what, MaxMetadataBytes, size)
	}
	return entries, n, nil
}

const (
	// metadataHead is the size of the head of a dictionary.
	metadataHead = 4
	// timeoutSize is the most bytes of the entry for the deadline.
	timeoutSize = 32
)

// appendCallMetadata writes the metadata of a call that has any.
func appendCallMetadata(dst []byte, p banana.Profile, call *seam.OutgoingCall) []byte {
	n := call.Entries
	if call.Timed {
		n++
	}
	dst = banana.AppendSymbol(banana.AppendList(dst, 1+n), p, banana.SymDictionary)
	if call.Timed {
		dst = appendText(banana.AppendList(dst, 2), p, timeoutKey)
		dst = banana.AppendInt(dst, milliseconds(time.Until(call.Deadline)))
	}
	return append(dst, call.Metadata...)
}

// milliseconds rounds up, so that a call whose time is not over does not arrive as one whose time is.
func milliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > 0 && d%time.Millisecond != 0 {
		ms++
	}
	return ms
}

func appendText(dst []byte, p banana.Profile, s string) []byte {
	dst = banana.AppendString(banana.AppendList(dst, 2), p, unicodeWord)
	return banana.AppendString(dst, p, s)
}

// appendTextHead is appendText without the n bytes of the text, which is no word of the vocabulary.
func appendTextHead(dst []byte, p banana.Profile, n int) []byte {
	dst = banana.AppendString(banana.AppendList(dst, 2), p, unicodeWord)
	return banana.AppendBytesHead(dst, n)
}

// unicodeWord begins a text in Jelly.
const unicodeWord = "unicode"

// maxTimeout is the longest time that a call has: what a peer says beyond that is taken as this.
const maxTimeout = 100 * 365 * 24 * time.Hour

// readMetadata reads the metadata of the call into the invocation to be.
func (inv *Invocation) readMetadata(r *banana.Reader) error {
	m, left, timed, err := readMetadata(r)
	if err != nil {
		return err
	}
	inv.metadata = m
	if timed {
		inv.deadline = time.Now().Add(left)
	}
	return nil
}

// What most metadata consists of under ProfilePB1, up to the value: the entry of a traceparent alone.
var (
	traceparentEntry = string(appendTextHead(
		appendText(banana.AppendList(nil, 2), banana.ProfilePB1, traceparentKey), banana.ProfilePB1, traceparentSize))
	onlyTraceparent = string(
		banana.AppendSymbol(banana.AppendList(nil, 2), banana.ProfilePB1, banana.SymDictionary)) + traceparentEntry
)

// traceparentSize is the length of a traceparent of version 00.
const traceparentSize = 55

// takeTraceparent reads metadata that is a traceparent alone. It returns nil, and reads nothing, if it is not.
func takeTraceparent(r *banana.Reader) *receivedMetadata {
	rest := r.Rest()
	if len(rest) != len(onlyTraceparent)+traceparentSize || !utf8.Valid(rest[len(onlyTraceparent):]) ||
		!r.Take(onlyTraceparent) {
		return nil
	}
	value := string(r.Rest())
	r.Take(value)
	m := new(receivedMetadata)
	m.first[0] = metadataEntry{key: traceparentKey, value: value}
	m.entries = m.first[:]
	return m
}

// readMetadata reads the metadata of a call, which is the rest of r, and the time that the call has left.
func readMetadata(r *banana.Reader) (m *receivedMetadata, left time.Duration, timed bool, err error) {
	if m := takeTraceparent(r); m != nil {
		return m, 0, false, nil
	}
	if n := len(r.Rest()); n > MaxMetadataBytes {
		return nil, 0, false, badMetadata("it has %d bytes; %d is the most", n, MaxMetadataBytes)
	}
	n, err := listOf(r)
	if err != nil {
		return nil, 0, false, err
	}
	word, err := r.Next()
	switch {
	case n == 0 || err != nil || !word.TextIs(banana.SymDictionary.String()):
		return nil, 0, false, badMetadata("it is no dictionary")
	case n-1 > MaxMetadataEntries:
		return nil, 0, false, badMetadata("it has %d entries; %d is the most", n-1, MaxMetadataEntries)
	}
	for range n - 1 {
		key, err := readKey(r)
		if err != nil {
			return nil, 0, false, err
		}
		if key == timeoutKey {
			if timed {
				return nil, 0, false, badMetadata("%q is there twice", key)
			}
			timed = true
			if left, err = readTimeout(r); err != nil {
				return nil, 0, false, err
			}
			continue
		}
		if _, twice := m.find(key); twice {
			return nil, 0, false, badMetadata("%q is there twice", clipText(key, maxQuotedName))
		}
		e, err := readMetadataValue(r, key)
		if err != nil {
			return nil, 0, false, err
		}
		if m == nil {
			m = new(receivedMetadata)
			m.entries = m.first[:0]
		}
		m.entries = append(m.entries, e)
	}
	return m, left, timed, nil
}

func readKey(r *banana.Reader) (string, error) {
	if n, err := listOf(r); err != nil || n != 2 {
		return "", badMetadata("an entry is no pair of a key and a value")
	}
	t, _, ok, err := readText(r)
	switch {
	case err != nil:
		return "", err
	case ok && t.Kind == banana.String && string(t.Bytes) == traceparentKey:
		return traceparentKey, nil
	case ok && t.Kind == banana.String && string(t.Bytes) == timeoutKey:
		return timeoutKey, nil
	case ok:
		if key := t.Text(); utf8.ValidString(key) {
			return key, nil
		}
	}
	return "", badMetadata("a key is no text")
}

func readMetadataValue(r *banana.Reader, key string) (metadataEntry, error) {
	t, isBytes, ok, err := readText(r)
	if !ok && err == nil {
		err = badMetadata("the value of %q is neither text nor bytes", clipText(key, maxQuotedName))
	}
	if err != nil {
		return metadataEntry{}, err
	}
	return metadataEntry{key, t.Text(), isBytes}, nil
}

// readText reads a text or bytes. ok is false for anything else.
func readText(r *banana.Reader) (t banana.Token, isBytes, ok bool, err error) {
	t, err = r.Next()
	switch {
	case err != nil:
		return t, false, false, err
	case t.IsText():
		return t, true, true, nil
	case t.Kind != banana.List || t.Int != 2:
		return t, false, false, nil
	}
	word, err := r.Next()
	if err != nil || !word.TextIs(unicodeWord) {
		return t, false, false, err
	}
	if t, err = r.Next(); err != nil || !t.IsText() {
		return t, false, false, err
	}
	if t.Kind == banana.String && !utf8.Valid(t.Bytes) {
		return t, false, false, badMetadata("a text is not UTF-8")
	}
	return t, false, true, nil
}

func readTimeout(r *banana.Reader) (time.Duration, error) {
	t, err := r.Next()
	switch {
	case err != nil:
		return 0, err
	case !t.IsInt():
		return 0, badMetadata("%q is an integer: milliseconds", timeoutKey)
	case t.Kind != banana.Int:
		return time.Duration(t.Big().Sign()) * maxTimeout, nil
	}
	const most = int64(maxTimeout / time.Millisecond)
	return time.Duration(max(min(t.Int, most), -most)) * time.Millisecond, nil
}

// listOf reads the head of a list, and returns how many elements it has.
func listOf(r *banana.Reader) (int64, error) {
	t, err := r.Next()
	if err == nil && t.Kind != banana.List {
		err = badMetadata("it is no dictionary")
	}
	return t.Int, err
}

func badMetadata(format string, args ...any) error {
	return ValueError.New("the metadata of the call: " + fmt.Sprintf(format, args...))
}
