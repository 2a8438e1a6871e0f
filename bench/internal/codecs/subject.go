package codecs

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// value is what is encoded: as one who sends arguments has it, and with a Go type of its own.
type value struct {
	name    string
	generic any
	list    any // generic as json wants it, which knows no tuples
	typed   any
	fresh   func() any // a pointer to what typed decodes into
}

// pair is what has most in common with the arguments of root.add(1, 2).
type pair struct{ A, B int }

func values() []value {
	dict, ints := map[string]int{}, make([]int, 1000)
	anyDict, anyInts := map[string]any{}, make([]any, len(ints))
	for i := range 10 {
		key := fmt.Sprintf("key%d", i)
		dict[key], anyDict[key] = i*1000, i*1000
	}
	for i := range ints {
		ints[i], anyInts[i] = i*7, i*7
	}
	return []value{
		{"small", jelly.Tuple{1, 2}, []any{1, 2}, &pair{1, 2}, func() any { return new(pair) }},
		{"dict", anyDict, anyDict, dict, func() any { return new(map[string]int) }},
		{"ints", ints, anyInts, ints, func() any { return new([]int) }},
	}
}

// subject is one codec at work on one value: each function does it once.
type subject struct {
	name   string
	encode func() error
	decode func() error
}

// subjects are the codecs that can handle v.
func subjects(v value) ([]subject, error) {
	gobs, err := gobSubject(v)
	return []subject{
		jellySubject(v, "ours", nil), jellySubject(v, "ours-typed", jellyTarget(v)),
		jsonSubject("json", v.list, func() any { return new(any) }), jsonSubject("json-typed", v.typed, v.fresh), gobs,
	}, err
}

// jellyTarget is what the typed way assigns to: a tuple goes into a slice, not into a struct.
func jellyTarget(v value) func() any {
	if v.name == "small" {
		return func() any { return new([]int) }
	}
	return v.fresh
}

func jellySubject(v value, name string, fresh func() any) subject {
	source := v.generic
	if fresh != nil && v.name != "small" {
		source = v.typed
	}
	var (
		frame   []byte
		reader  banana.Reader
		decoder jelly.Decoder
	)
	encode := func() error {
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		defer f.Free()
		err := f.Jelly(source)
		if err == nil {
			frame, err = f.Append(frame[:0], nil)
		}
		return err
	}
	return subject{name, encode, func() error {
		var got any
		reader.Reset(frame, banana.ProfilePB)
		decoder.Reset()
		err := decoder.Decode(&reader, &got)
		if err == nil && fresh != nil {
			err = jelly.Assign(fresh(), got)
		}
		return err
	}}
}

func jsonSubject(name string, source any, fresh func() any) subject {
	var text []byte
	return subject{name, func() (err error) {
		text, err = json.Marshal(source)
		return err
	}, func() error {
		return json.Unmarshal(text, fresh())
	}}
}

// gobSubject decodes what the encoder has written after the first value, which carried the types.
func gobSubject(v value) (subject, error) {
	var out bytes.Buffer
	encoder := gob.NewEncoder(&out)
	if err := encoder.Encode(v.typed); err != nil {
		return subject{}, err
	}
	in := bytes.NewBuffer(bytes.Clone(out.Bytes()))
	decoder := gob.NewDecoder(in)
	if err := decoder.Decode(v.fresh()); err != nil {
		return subject{}, err
	}
	encode := func() error {
		out.Reset()
		return encoder.Encode(v.typed)
	}
	if err := encode(); err != nil {
		return subject{}, err
	}
	message := bytes.Clone(out.Bytes())
	return subject{"gob", encode, func() error {
		in.Reset()
		in.Write(message)
		return decoder.Decode(v.fresh())
	}}, nil
}
