package codecs

import "time"

// task encodes and decodes one value with one codec.
type task struct {
	name   string
	encode func() error
	decode func() error
	// measureRemote is set instead of encode and decode if another process does the work and takes the time.
	measureRemote func(step string, each time.Duration) (ns float64, err error)
}

// The steps, which are measured separately.
const (
	stepEncode = "encode"
	stepDecode = "decode"
)

func (t task) step(step string) func() error {
	if step == stepDecode {
		return t.decode
	}
	return t.encode
}

// inProcess returns the tasks for v that run in this process.
func inProcess(v value) ([]task, error) {
	tasks := []task{jellyTask("ours", v.generic, nil)}
	if v.newJelly != nil {
		source := v.typed
		if _, ok := source.(*pair); ok {
			source = v.generic
		}
		tasks = append(tasks, jellyTask("ours-typed", source, v.newJelly))
	}
	untyped := func() any { return new(any) }
	gobs, err := gobTask(v)
	return append(tasks,
		jsonTask("json", v.list, untyped), jsonTask("json-typed", v.typed, v.newTyped), gobs,
		msgpackTask("msgpack", v.list, untyped), msgpackTask("msgpack-typed", v.typed, v.newTyped)), err
}

// Benchmark is one step of one codec on one value.
type Benchmark struct {
	Name string // value/step/codec
	Run  func() error
}

// Benchmarks returns all steps of the codecs of this process. They are independent: one that decodes needs no other to
// encode first.
func Benchmarks() ([]Benchmark, error) {
	var benchmarks []Benchmark
	for _, v := range values() {
		tasks, err := inProcess(v)
		if err != nil {
			return nil, err
		}
		for _, step := range []string{stepEncode, stepDecode} {
			for _, t := range tasks {
				if err := t.encode(); err != nil {
					return nil, err
				}
				benchmarks = append(benchmarks, Benchmark{v.name + "/" + step + "/" + t.name, t.step(step)})
			}
		}
	}
	return benchmarks, nil
}
