package flavors

import (
	"reflect"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// tableFigures has the series of the methods of a table, in one runtime.
type tableFigures struct {
	in     *figures.Table
	typ    string
	names  []string
	series []atomic.Pointer[figures.Series] // by the number of the method; nil until it is called
}

// tableFiguresKey finds them among a runtime's figures.
type tableFiguresKey struct{ table *MethodTable }

func (t *MethodTable) figures(set *figures.Set) *tableFigures {
	return set.Cached(tableFiguresKey{t}, func() any {
		return &tableFigures{
			in: &set.In, typ: t.typeName, names: t.numbered, series: make([]atomic.Pointer[figures.Series], len(t.numbered)),
		}
	}).(*tableFigures)
}

// of returns the series of a method.
func (f *tableFigures) of(number int) *figures.Series {
	s := f.series[number].Load()
	if s == nil {
		s = f.in.Own(figures.Key{Type: f.typ, Method: f.names[number]})
		f.series[number].Store(s)
	}
	return s
}

// number gives each method a number, under which its names share a series.
func (t *MethodTable) number() {
	numbers := map[caller]int{}
	t.numbers = make(map[string]numbered, len(t.methods))
	for name, c := range t.methods {
		n, ok := numbers[c]
		if !ok {
			n = len(t.numbered)
			numbers[c] = n
			t.numbered = append(t.numbered, name)
		}
		if m, ok := c.(*method); ok {
			t.numbered[n] = m.wire
		} else if dispatch.RaiseFirst(name) != name {
			t.numbered[n] = name
		}
		t.numbers[name] = numbered{c, n}
	}
}

// numbered is a method with its number in the table.
type numbered struct {
	caller
	number int
}

// countBegun counts a call whose method m is about to run; m is zero if there is none with the name. countBegun reports
// whether the goroutine now has the method's label for profiles.
func (inv *Invocation) countBegun(t *MethodTable, m numbered, f *tableFigures) (labelled bool) {
	r := inv.conn.Figures()
	switch {
	case m.caller != nil:
		inv.series = f.of(m.number)
	case t.handler:
		inv.series = f.in.Find(figures.Key{Type: f.typ, Method: inv.Method})
	default:
		inv.series = f.in.Unknown()
	}
	if inv.series == nil {
		return false // Counted when it ends: the handler may refuse the name.
	}
	inv.timed = r.Begin(inv.series, inv.many)
	if r.Labels() {
		pprof.SetGoroutineLabels(inv.series.Labels())
		return true
	}
	return false
}

// seriesAtEnd returns the series of a call that was not counted when it began: it did not begin, or a Handler took it.
func (inv *Invocation) seriesAtEnd(kind string) *figures.Series {
	if inv.core == nil {
		return nil // Refused before it got to an object: there is no type.
	}
	set := inv.conn.Figures().Set()
	if kind == NoSuchMethod.name {
		return set.In.Unknown()
	}
	t, err := methodsFor(reflect.TypeOf(inv.core.Value()), inv.prefix)
	if err != nil {
		return set.In.Unknown()
	}
	if m := t.lookup(inv.Method); m.caller != nil {
		return t.figures(set).of(m.number)
	}
	if !t.handler {
		return set.In.Unknown()
	}
	return set.In.Handled(figures.Key{Type: t.typeName, Method: inv.Method})
}

// count counts the call as ended, and logs it. kind is the type of its exception, empty if it succeeded. If the call
// has been counted, the answer was replaced by an error.
func (inv *Invocation) count(kind string) {
	r := inv.conn.Figures()
	s := inv.series
	if s == nil {
		if s = inv.seriesAtEnd(kind); s != nil {
			inv.series = s
			inv.timed = r.Begin(s, inv.many)
		}
	}
	logged := r.Logs()
	var took time.Duration
	if inv.timed > 0 || logged {
		took = figures.Now() - inv.read
	}
	if s != nil {
		if !inv.counted {
			r.End(s, inv.timed, took)
		}
		if kind != "" {
			r.Failed(s, true, kind)
		}
	}
	if p := inv.relay.how(); p != nil && p.Answered != nil && !inv.counted {
		p.Answered()
	}
	inv.counted = true
	if logged {
		usercode.Log(func() {
			line := inv.traced(inv.conn.Logger().Debug()).
				Str("method", clipText(inv.Method, maxQuotedName)).
				Dur("duration", took)
			if inv.core != nil {
				line = line.Str("object", inv.core.typeName())
			}
			if kind != "" {
				line = line.Str("error", figures.Clip(kind))
			}
			line.Msg("a call of the peer has ended")
		})
	}
}

// countError is count for an error that is not sent.
func (inv *Invocation) countError(err error) {
	if err == nil {
		inv.count("")
		return
	}
	inv.count(kindOf(inv.sendableError(err)))
}

// kindOf returns the type of an error that is sent, as the peer sees it.
func kindOf(sendable any) string {
	if f, ok := sendable.(*Failure); ok {
		return f.Type
	}
	return dispatch.TypeName(reflect.TypeOf(sendable))
}

// countForwarded is countBegun for a call that is passed on without a turn of the object.
func (inv *Invocation) countForwarded() {
	r := inv.conn.Figures()
	k := figures.Key{Type: dispatch.TypeName(reflect.TypeOf(inv.core.Value())), Method: inv.Method}
	if inv.series = r.Set().In.Find(k); inv.series != nil {
		inv.timed = r.Begin(inv.series, inv.many)
	}
}
