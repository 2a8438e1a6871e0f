package codecs

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// jellyTask encodes source and decodes it, into a new typed value if newTyped is not nil.
func jellyTask(name string, source any, newTyped func() any) task {
	var (
		frame   []byte
		reader  banana.Reader
		decoder jelly.Decoder
	)
	return task{name: name, encode: func() (err error) {
		frame, err = appendJelly(frame[:0], source)
		return err
	}, decode: func() error {
		reader.Reset(frame, banana.ProfilePB)
		decoder.Reset()
		if newTyped != nil {
			return decoder.DecodeInto(&reader, newTyped())
		}
		var got any
		return decoder.Decode(&reader, &got)
	}}
}

func appendJelly(dst []byte, source any) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.Jelly(source); err != nil {
		return dst, err
	}
	return f.Append(dst, nil)
}
