package stub

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"weak"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Client is embedded in the generated clients.
type Client struct{ callee flavors.Callee }

// NewClient returns the client of an object.
func NewClient(callee flavors.Callee) Client { return Client{callee} }

// Callee returns what the client calls.
func (c Client) Callee() flavors.Callee { return c.callee }

// Reference returns the reference that the client calls; nil if it calls something else, such as a placed object.
func (c Client) Reference() *flavors.RemoteReference {
	ref, _ := c.callee.(*flavors.RemoteReference)
	return ref
}

// JellyTo sends what the client calls in place of the client.
func (c Client) JellyTo(e *jelly.Encoder, _ any) error { return e.Value(c.callee) }

func (c Client) called() flavors.Callee { return c.callee }

// Call calls a method and converts the answer.
func Call[T any](
	ctx context.Context, c Client, convert func(any) (T, error), method string, args ...any,
) (T, error) {
	v, err := flavors.Call[any](ctx, c.callee, method, args...)
	if err != nil {
		var zero T
		return zero, err
	}
	result, err := convert(v)
	if err != nil {
		return result, fmt.Errorf("calling %s: the answer: %w", method, err)
	}
	return result, nil
}

// Server is embedded in the generated servers. Its object is served by reference.
type Server[I any] struct {
	flavors.Referenceable
	// Impl is the implementation. It must not change.
	Impl I
}

// Implementation returns what is served.
func (s *Server[I]) Implementation() I { return s.Impl }

// Check returns an error if nothing is served.
func (s *Server[I]) Check() error {
	if v := reflect.ValueOf(s.Impl); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errNoImplementation
	}
	return nil
}

// servers has the servers in use, by what they serve.
var servers sync.Map // served -> weak.Pointer of the server

// served identifies an implementation. While its server is in use, so is the implementation, and nothing else has the
// address.
type served struct {
	server  reflect.Type
	impl    reflect.Type
	address uintptr
}

// Serve returns the server for an implementation: the one that is in use, or else what produce makes. So the methods of
// an implementation run one at a time, however often it is passed to peers. An implementation that is not a pointer to
// something has no identity, and gets a server each time.
func Serve[S any](impl any, produce func() *S) *S {
	v := reflect.ValueOf(impl)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem().Size() == 0 {
		return produce()
	}
	key := served{reflect.TypeFor[S](), v.Type(), v.Pointer()}
	for {
		had, found := servers.Load(key)
		if found {
			if s := had.(weak.Pointer[S]).Value(); s != nil {
				runtime.KeepAlive(impl)
				return s
			}
		}
		s := produce()
		mark := weak.Make(s)
		if found && !servers.CompareAndSwap(key, had, mark) {
			continue
		}
		if !found {
			if _, taken := servers.LoadOrStore(key, mark); taken {
				continue
			}
		}
		runtime.AddCleanup(s, func(key served) { servers.CompareAndDelete(key, mark) }, key)
		runtime.KeepAlive(impl)
		return s
	}
}

// Send returns what is sent for an implementation: what a client calls, or else a server.
func Send[I any, S any](impl I, server func(I) *S) any {
	switch v := any(impl).(type) {
	case nil:
		return nil
	case interface{ called() flavors.Callee }:
		if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
			return nil
		}
		return v.called()
	}
	if v := reflect.ValueOf(impl); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return server(impl)
}

// SendEach is [Send] for the elements of a slice.
func SendEach[I any, S any](impls []I, server func(I) *S) []any {
	list := make([]any, len(impls))
	for i, impl := range impls {
		list[i] = Send(impl, server)
	}
	return list
}

// IsZero reports whether a value is that of an option that was not set.
func IsZero[T any](v T) bool { return reflect.ValueOf(&v).Elem().IsZero() }

// RegisterCopy registers a class of copies, unless the registry has it. The class is that under which T is sent.
func RegisterCopy[T any, P interface {
	*T
	jelly.Jellyable
}](r *jelly.Registry) error {
	class, err := flavors.ClassOf(P(new(T)))
	if err != nil {
		return err
	}
	if _, ok := r.Lookup(class); ok {
		return nil
	}
	return flavors.RegisterCopy[T](r, class)
}

// RegisterReference registers a class of references, unless the registry has it.
func RegisterReference(r *jelly.Registry, class string) error {
	if _, ok := r.Lookup(class); ok {
		return nil
	}
	return flavors.RegisterReference(r, class)
}
