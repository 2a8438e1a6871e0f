package codecs

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// jellyTask encodes source and decodes it. If newTyped is not nil, it assigns the result to a new typed value.
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
		var got any
		reader.Reset(frame, banana.ProfilePB)
		decoder.Reset()
		err := decoder.Decode(&reader, &got)
		if err == nil && newTyped != nil {
			err = jelly.Assign(newTyped(), got)
		}
		return err
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
