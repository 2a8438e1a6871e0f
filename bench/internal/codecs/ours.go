package codecs

import (
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// jellySubject encodes source, and decodes into any, or into what fresh makes.
func jellySubject(name string, source any, fresh func() any) subject {
	var (
		frame   []byte
		reader  banana.Reader
		decoder jelly.Decoder
	)
	return subject{name: name, encode: func() (err error) {
		frame, err = appendJelly(frame[:0], source)
		return err
	}, decode: func() error {
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

func appendJelly(dst []byte, source any) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.Jelly(source); err != nil {
		return dst, err
	}
	return f.Append(dst, nil)
}
