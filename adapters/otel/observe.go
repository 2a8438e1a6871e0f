package otel

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Observe reports the figures of a runtime ([broker.StatsOf]) to a meter, until the runtime has closed:
//
//	pb.connections         connections, by pb.connection.state: "open" or "negotiating"
//	pb.connections.closed  connections that have ended, by pb.close.reason ([broker.CloseReason])
//	pb.calls               calls that are over, by pb.direction, pb.outcome, rpc.service and rpc.method
//	pb.calls.pending       calls in flight, by pb.direction
//	pb.exports             objects here that peers hold references to
//	pb.imports             objects of peers that are held here
//	pb.caches              copies, by pb.cache.side: "peer" for those that peers keep, "here"
//	pb.refusals            what was refused, by pb.refusal ([broker.Rejection])
//	pb.network.io          bytes, by network.io.direction
//	pb.unwritten           bytes that wait to be written
//	pb.memory              bytes that Limits.MemoryTotal bounds
//
// pb.direction is "in" for calls of peers and "out" for calls to peers. pb.outcome is "answered", "failed" or
// "cancelled". The attributes given are added to each; they tell several runtimes of a program apart. The figures are
// read when the meter's reader collects. Nothing is counted twice for it.
func Observe(rt *actor.Runtime, meter metric.Meter, attributes ...attribute.KeyValue) error {
	if meter == nil {
		return errors.New("otel: Observe was given no meter")
	}
	if rt == nil {
		return errors.New("otel: Observe was given no runtime")
	}
	if err := rt.Check(); err != nil {
		return fmt.Errorf("otel: observing a runtime: %w", err)
	}
	if rt.HasBegun(actor.PhaseRefuse) {
		return errors.New("otel: observing a runtime: the runtime is being closed")
	}
	g, err := newGauges(meter)
	if err != nil {
		return fmt.Errorf("otel: observing a runtime: %w", err)
	}
	g.common = attributes
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		g.observe(o, broker.StatsOf(rt))
		return nil
	}, g.all...)
	if err != nil {
		return fmt.Errorf("otel: observing a runtime: %w", err)
	}
	rt.OnClose(actor.PhaseStop, "observing metrics", func(context.Context) error {
		if err := registration.Unregister(); err != nil {
			otel.Handle(err)
		}
		return nil
	})
	return nil
}

// The attributes of the metrics.
const (
	directionKey = attribute.Key("pb.direction")
	outcomeKey   = attribute.Key("pb.outcome")
	stateKey     = attribute.Key("pb.connection.state")
	reasonKey    = attribute.Key("pb.close.reason")
	refusalKey   = attribute.Key("pb.refusal")
	sideKey      = attribute.Key("pb.cache.side")
)

// gauges are the instruments of [Observe].
type gauges struct {
	common []attribute.KeyValue
	all    []metric.Observable

	closed, calls, refusals, bytes                                    metric.Int64ObservableCounter
	connections, pending, exports, imports, caches, unwritten, memory metric.Int64ObservableUpDownCounter
}

func newGauges(meter metric.Meter) (*gauges, error) {
	g := &gauges{}
	var errs []error
	counter := func(to *metric.Int64ObservableCounter, name, unit, description string) {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*to = c
		g.all = append(g.all, c)
		errs = append(errs, err)
	}
	level := func(to *metric.Int64ObservableUpDownCounter, name, unit, description string) {
		c, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		*to = c
		g.all = append(g.all, c)
		errs = append(errs, err)
	}
	level(&g.connections, "pb.connections", "{connection}", "Connections that have not ended.")
	counter(&g.closed, "pb.connections.closed", "{connection}", "Connections that have ended.")
	counter(&g.calls, "pb.calls", "{call}", "Calls that are over.")
	level(&g.pending, "pb.calls.pending", "{call}", "Calls without an answer.")
	level(&g.exports, "pb.exports", "{object}", "Objects here that peers hold references to.")
	level(&g.imports, "pb.imports", "{object}", "Objects of peers that are held here.")
	level(&g.caches, "pb.caches", "{copy}", "Copies of Cacheables.")
	counter(&g.refusals, "pb.refusals", "{refusal}", "What was refused.")
	counter(&g.bytes, "pb.network.io", "By", "Bytes read from and written to connections.")
	level(&g.unwritten, "pb.unwritten", "By", "Bytes that wait to be written.")
	level(&g.memory, "pb.memory", "By", "Memory that Limits.MemoryTotal bounds.")
	return g, errors.Join(errs...)
}

func (g *gauges) with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(attributes, g.common...)...))
}

func (g *gauges) observe(o metric.Observer, s broker.RuntimeStats) {
	o.ObserveInt64(g.connections, int64(s.Conns.Open), g.with(stateKey.String("open")))
	o.ObserveInt64(g.connections, int64(s.Conns.Opening), g.with(stateKey.String("negotiating")))
	for reason, n := range s.Conns.Closed {
		o.ObserveInt64(g.closed, int64(n), g.with(reasonKey.String(string(reason))))
	}
	for refusal, n := range s.Refusals {
		o.ObserveInt64(g.refusals, int64(n), g.with(refusalKey.String(string(refusal))))
	}
	in, out := directionKey.String("in"), directionKey.String("out")
	g.observeMethods(o, s.MethodsIn, in)
	g.observeMethods(o, s.MethodsOut, out)
	o.ObserveInt64(g.pending, int64(s.CallsIn.Pending), g.with(in))
	o.ObserveInt64(g.pending, int64(s.CallsOut.Pending), g.with(out))
	o.ObserveInt64(g.exports, int64(s.Exports), g.with())
	o.ObserveInt64(g.imports, int64(s.Imports), g.with())
	o.ObserveInt64(g.caches, int64(s.Caches), g.with(sideKey.String("peer")))
	o.ObserveInt64(g.caches, int64(s.LocalCaches), g.with(sideKey.String("here")))
	o.ObserveInt64(g.bytes, int64(s.BytesIn), g.with(semconv.NetworkIODirectionReceive))
	o.ObserveInt64(g.bytes, int64(s.BytesOut), g.with(semconv.NetworkIODirectionTransmit))
	o.ObserveInt64(g.unwritten, int64(s.BytesWaiting), g.with())
	o.ObserveInt64(g.memory, int64(s.BytesHeld), g.with())
}

func (g *gauges) observeMethods(o metric.Observer, methods []broker.MethodStats, direction attribute.KeyValue) {
	for _, m := range methods {
		name := m.Method
		if name == broker.UnknownMethod || name == broker.OtherMethod {
			continue
		}
		g.observeMethod(o, m, direction, name)
	}
	for typ, sum := range others(methods) {
		g.observeMethod(o, broker.MethodStats{Type: typ, Calls: sum}, direction, other)
	}
}

// others sums the calls of methods without a series of their own, by type.
func others(methods []broker.MethodStats) map[string]broker.Calls {
	sums := map[string]broker.Calls{}
	for _, m := range methods {
		if m.Method == broker.UnknownMethod || m.Method == broker.OtherMethod {
			sum := sums[m.Type]
			sum.Answered += m.Answered
			sum.Failed += m.Failed
			sum.Cancelled += m.Cancelled
			sums[m.Type] = sum
		}
	}
	return sums
}

func (g *gauges) observeMethod(o metric.Observer, m broker.MethodStats, direction attribute.KeyValue, name string) {
	for _, over := range []struct {
		outcome string
		n       uint64
	}{{"answered", m.Answered}, {"failed", m.Failed}, {"cancelled", m.Cancelled}} {
		if over.n > 0 {
			attributes := append(methodKey{m.Type, name}.metricAttributes(), direction, outcomeKey.String(over.outcome))
			o.ObserveInt64(g.calls, int64(over.n), g.with(attributes...))
		}
	}
}
