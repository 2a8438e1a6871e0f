package codecs

import (
	"bytes"
	"encoding/gob"
	"encoding/json"

	"github.com/vmihailenco/msgpack/v5"
)

func jsonSubject(name string, source any, fresh func() any) subject {
	var text []byte
	return subject{name: name, encode: func() (err error) {
		text, err = json.Marshal(source)
		return err
	}, decode: func() error {
		return json.Unmarshal(text, fresh())
	}}
}

func msgpackSubject(name string, source any, fresh func() any) subject {
	var out bytes.Buffer
	// Its own Marshal copies what it has encoded; this is how a program encodes that looks at the time.
	encoder := msgpack.NewEncoder(&out)
	return subject{name: name, encode: func() error {
		out.Reset()
		return encoder.Encode(source)
	}, decode: func() error {
		return msgpack.Unmarshal(out.Bytes(), fresh())
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
	return subject{name: "gob", encode: encode, decode: func() error {
		in.Reset()
		in.Write(message)
		return decoder.Decode(v.fresh())
	}}, nil
}
