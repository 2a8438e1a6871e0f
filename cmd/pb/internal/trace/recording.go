package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const magic = "pb recording 1\n"

// maxChunk is the most bytes of one event of a recording.
const maxChunk = 1 << 20

// ErrNoRecording reports a file that is something else.
var ErrNoRecording = errors.New("this is no recording of pb tap")

// ErrCut reports a recording whose end is missing.
var ErrCut = errors.New("the recording is cut: its last event is incomplete")

// kinds are the bytes for data in each direction, and for the end of each.
const kinds = "><)("

// Recorder writes a recording.
type Recorder struct{ w io.Writer }

// NewRecorder begins a recording.
func NewRecorder(w io.Writer) (*Recorder, error) {
	_, err := io.WriteString(w, magic)
	return &Recorder{w}, err
}

// Event writes an event with one call of Write, so that a program that is killed loses nothing.
func (r *Recorder) Event(e Event) error {
	if len(e.Data) > 0 {
		if err := r.write(kinds[e.Dir&1], e, e.Data); err != nil {
			return err
		}
	}
	if e.End {
		return r.write(kinds[2+int(e.Dir&1)], e, nil)
	}
	return nil
}

func (r *Recorder) write(kind byte, e Event, data []byte) error {
	b := append(make([]byte, 0, len(data)+32), kind)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	b = binary.AppendUvarint(b, uint64(e.Conn))
	b = binary.AppendUvarint(b, uint64(len(data)))
	_, err := r.w.Write(append(b, data...))
	return err
}

// Read reads a recording and passes its events on. The error is ErrNoRecording, ErrCut, or that of f or the reader.
func Read(from io.Reader, f func(Event) error) error {
	r := bufio.NewReader(from)
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(r, begin); err != nil || string(begin) != magic {
		return ErrNoRecording
	}
	for {
		kind, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := readEvent(r, kind)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrCut
		}
		if err == nil {
			err = f(e)
		}
		if err != nil {
			return err
		}
	}
}

func readEvent(r *bufio.Reader, kind byte) (e Event, err error) {
	var at [8]byte
	if _, err := io.ReadFull(r, at[:]); err != nil {
		return e, err
	}
	conn, err := binary.ReadUvarint(r)
	if err != nil {
		return e, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return e, err
	}
	e.At, e.Conn = time.Unix(0, int64(binary.BigEndian.Uint64(at[:]))), int(conn)
	i := strings.IndexByte(kinds, kind)
	if i < 0 {
		return e, fmt.Errorf("the recording is damaged: there is no event %q", kind)
	}
	e.Dir, e.End = Direction(i&1), i >= 2
	if n > maxChunk {
		return e, fmt.Errorf("the recording is damaged: an event of %d bytes", n)
	}
	e.Data = make([]byte, n)
	_, err = io.ReadFull(r, e.Data)
	return e, err
}
