package codecs

import (
	"bytes"
	"encoding/gob"
	"encoding/json"

	"github.com/vmihailenco/msgpack/v5"
)

func jsonTask(name string, source any, newTyped func() any) task {
	var text []byte
	return task{name: name, encode: func() (err error) {
		text, err = json.Marshal(source)
		return err
	}, decode: func() error {
		return json.Unmarshal(text, newTyped())
	}}
}

func msgpackTask(name string, source any, newTyped func() any) task {
	var out bytes.Buffer
	// msgpack.Marshal copies the encoded bytes; a program that needs speed reuses an encoder.
	encoder := msgpack.NewEncoder(&out)
	return task{name: name, encode: func() error {
		out.Reset()
		return encoder.Encode(source)
	}, decode: func() error {
		return msgpack.Unmarshal(out.Bytes(), newTyped())
	}}
}

// gobTask decodes the encoder's second message, because the first one contains the type information.
func gobTask(v value) (task, error) {
	var out bytes.Buffer
	encoder := gob.NewEncoder(&out)
	if err := encoder.Encode(v.typed); err != nil {
		return task{}, err
	}
	in := bytes.NewBuffer(bytes.Clone(out.Bytes()))
	decoder := gob.NewDecoder(in)
	if err := decoder.Decode(v.newTyped()); err != nil {
		return task{}, err
	}
	encode := func() error {
		out.Reset()
		return encoder.Encode(v.typed)
	}
	if err := encode(); err != nil {
		return task{}, err
	}
	message := bytes.Clone(out.Bytes())
	return task{name: "gob", encode: encode, decode: func() error {
		in.Reset()
		in.Write(message)
		return decoder.Decode(v.newTyped())
	}}, nil
}
