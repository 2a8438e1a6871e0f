package codecs

import "time"

// subject is one codec at work on one value: each function does it once.
type subject struct {
	name   string
	encode func() error
	decode func() error
	// timed is there if another process does the work and takes the time.
	timed func(step string, each time.Duration) (ns float64, err error)
}

// The steps of which each is measured by itself.
const (
	stepEncode = "encode"
	stepDecode = "decode"
)

func (s subject) step(step string) func() error {
	if step == stepDecode {
		return s.decode
	}
	return s.encode
}

// inProcess are the codecs of this process that can handle v.
func inProcess(v value) ([]subject, error) {
	all := []subject{jellySubject("ours", v.generic, nil)}
	if v.jellied != nil {
		source := v.typed
		if _, ok := source.(*pair); ok {
			source = v.generic
		}
		all = append(all, jellySubject("ours-typed", source, v.jellied))
	}
	untyped := func() any { return new(any) }
	gobs, err := gobSubject(v)
	return append(all,
		jsonSubject("json", v.list, untyped), jsonSubject("json-typed", v.typed, v.fresh), gobs,
		msgpackSubject("msgpack", v.list, untyped), msgpackSubject("msgpack-typed", v.typed, v.fresh)), err
}

// Work is one step of one codec on one value, for benchmarks.
type Work struct {
	Name string // value/step/codec
	Do   func() error
}

// Works are all steps of the codecs in this process. What decodes needs no encoding before.
func Works() ([]Work, error) {
	var works []Work
	for _, v := range values() {
		all, err := inProcess(v)
		if err != nil {
			return nil, err
		}
		for _, step := range []string{stepEncode, stepDecode} {
			for _, s := range all {
				if err := s.encode(); err != nil {
					return nil, err
				}
				works = append(works, Work{v.name + "/" + step + "/" + s.name, s.step(step)})
			}
		}
	}
	return works, nil
}
