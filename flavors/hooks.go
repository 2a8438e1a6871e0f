package flavors

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/supervision"
)

// hook is a method that the library calls on the user's struct if it is there. One that has the name but another
// signature would be passed over in silence, and what it was to hold back would go out.
type hook struct {
	name string
	typ  reflect.Type // as a function, without the receiver
}

func hookOf[F any](name string) hook { return hook{name, reflect.TypeFor[F]()} }

// hooks are those of one flavor.
type hooks struct{ list []hook }

// The hooks of the flavors.
var (
	copyHooks = &hooks{[]hook{
		hookOf[func(any) any]("StateToCopyFor"), hookOf[func() any]("StateToCopy"),
		hookOf[func(any) string]("TypeToCopyFor"), hookOf[func() string]("TypeToCopy"),
	}}
	cacheHooks = &hooks{append([]hook{
		hookOf[func(any, *Observer) any]("StateToCacheAndObserveFor"), hookOf[func(any, *Observer)]("StoppedObserving"),
	}, copyHooks.list...)}
	publishHooks = &hooks{append([]hook{
		hookOf[func() string](
			"PublishedID",
		), hookOf[func(any) any]("StateToPublishFor"), hookOf[func() any]("StateToPublish"),
	}, cacheHooks.list...)}
	stateSetterHooks = &hooks{[]hook{hookOf[func(any) error]("SetCopyableState"), hookOf[func()]("PostUnjelly")}}
	publishedHooks   = &hooks{append([]hook{
		hookOf[func(any) error]("SetPublishedState"), hookOf[func()]("Activated"),
	}, stateSetterHooks.list...)}
	elementsHooks  = &hooks{[]hook{hookOf[func()]("PostUnjelly")}}
	referenceHooks = &hooks{[]hook{hookOf[func() (string, []any)]("ReferenceClass")}}
	callHooks      = &hooks{[]hook{
		hookOf[func(*Invocation) (any, error)]("HandleRemote"), hookOf[func(Prefix) MethodSet]("PublishMethods"),
	}}
)

type hooksKey struct {
	typ   reflect.Type
	hooks *hooks
}

// checkedHooks remembers what was found for a type: it is a function of the types in the program.
var checkedHooks sync.Map // hooksKey -> error, or nil

// hooksOf reports whether the type of v, a pointer, has hooks that would be passed over.
func hooksOf(v any, h *hooks) error {
	key := hooksKey{reflect.TypeOf(v), h}
	found, ok := checkedHooks.Load(key)
	if !ok {
		found, _ = checkedHooks.LoadOrStore(key, h.check(key.typ))
	}
	err, _ := found.(error)
	return err
}

func (h *hooks) check(t reflect.Type) error {
	for _, k := range h.list {
		if err := k.check(t); err != nil {
			return err
		}
	}
	return nil
}

func (k hook) check(t reflect.Type) error {
	m, ok := t.MethodByName(k.name)
	switch {
	case ok && m.Func.IsValid() && dispatch.WithoutReceiver(m.Type) != k.typ:
		return fmt.Errorf("%s has a method %s with the signature %s, which would be passed over: it must be %s",
			t, k.name, dispatch.WithoutReceiver(m.Type), k.typ)
	case ok:
		return nil
	}
	if from := dispatch.LosesMethod(t, k.name); from != nil {
		return fmt.Errorf(
			"%s has no method %s although it embeds %s, which has: several embedded types have one, or a field has its name; "+
				"give %s a method of its own",
			t,
			k.name,
			from,
			t,
		)
	}
	return nil
}

// flavorHooks are those of what is an actor.
func flavorHooks(v anchored) *hooks {
	switch v.(type) {
	case interface{ RepublishAt(t time.Time) }:
		return publishHooks
	case interface{ WasCleanWhenLoaded() bool }:
		return publishedHooks
	case RemoteCacher:
		return stateSetterHooks
	}
	if v.branch() == supervision.Caches {
		return cacheHooks
	}
	return referenceHooks
}
