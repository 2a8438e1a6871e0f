package flavors_test

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/flavors"
)

// Sensor was not written for peers. One of its methods has the prefix by accident.
type Sensor struct{}

func (*Sensor) Model() string { return "S-1" }
func (*Sensor) RemoteReset()  {}

// Gauge is for peers.
type Gauge struct {
	flavors.Referenceable
	*Sensor
	value float64
}

// RemoteRead is called "read" on the wire.
func (g *Gauge) RemoteRead() float64 { return g.value }

// RemoteSet is called "set". The unit is optional, by position or by name.
func (g *Gauge) RemoteSet(value float64, o struct {
	Unit string `pb:"unit,default=m"`
}) error {
	if o.Unit != "m" {
		return flavors.ValueError.Errorf("unknown unit %q", o.Unit)
	}
	g.value = value
	return nil
}

// PublishMethods publishes one of the sensor's methods and hides the other, which must be listed because it has the
// prefix.
func (g *Gauge) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Publish("model", "Model"),
		flavors.Hide("RemoteReset"),
	)
}

func ExamplePublisher() {
	table, err := flavors.TableOf(&Gauge{}, flavors.PrefixRemote)
	fmt.Println(table.Names(), err)
	// Output: [model read set] <nil>
}

// Hits is called very often.
type Hits struct {
	flavors.Referenceable
	n int
}

// PublishMethods replaces reflection by functions.
func (h *Hits) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Func1("hit", func(h *Hits, _ *flavors.Invocation, by int) (int, error) {
			h.n += by
			return h.n, nil
		}, "by=1"),
		flavors.Proc0("reset", func(h *Hits, _ *flavors.Invocation) error { h.n = 0; return nil }),
	)
}

func ExampleFunc1() {
	table, err := flavors.TableOf(&Hits{}, flavors.PrefixRemote)
	fmt.Println(table.Names(), err)
	// Output: [hit reset] <nil>
}

var (
	errPond  = flavors.NewException("pond.Error", flavors.PBError)
	errEmpty = flavors.NewException("pond.Empty", errPond)
)

func ExampleException() {
	err := fmt.Errorf("taking a duck: %w", errEmpty.New("none left"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, errPond), errors.Is(err, flavors.PBError), errors.Is(err, flavors.KeyError))
	fmt.Println(errEmpty.Parents())
	// Output:
	// taking a duck: none left
	// true true false
	// [pond.Empty pond.Error twisted.spread.pb.Error builtins.Exception builtins.BaseException builtins.object]
}

func ExampleFailure_Check() {
	var err error = errEmpty.New("none left") // as if it came from a peer
	var f *flavors.Failure
	if errors.As(err, &f) {
		fmt.Println(f.Check("builtins.KeyError", "pond.Error"), "–", f.Value)
	}
	// Output: pond.Error – none left
}
