package otel

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The attributes that have no name in the semantic conventions, or that only earlier versions have.
const (
	systemKey  = attribute.Key("rpc.system")
	serviceKey = attribute.Key("rpc.service")
	dialectKey = attribute.Key("pb.dialect")
	answerKey  = attribute.Key("pb.answer")
)

const system = "perspectivebroker"

const (
	maxMethods = 1024 // methods that are named in metrics
	maxOfType  = 256  // of them, methods of one type
)

// methods are the methods of one direction that have been called. The zero value needs kind only.
type methods struct {
	kind trace.SpanStartOption

	known atomic.Pointer[map[methodKey]*method] // replaced, never changed

	mu     sync.Mutex // guards replacing known
	ofType map[string]int
}

type methodKey struct{ typ, name string }

// method is what the calls of a method share. It is immutable.
type method struct {
	methodKey
	spanName string
	start    []trace.SpanStartOption
	success  []metric.RecordOption
	isKnown  bool
}

func (k methodKey) metricAttributes() []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		semconv.RPCSystemNameKey.String(system),
		semconv.RPCMethod(k.name),
	}
	if k.typ != "" {
		attributes = append(attributes, serviceKey.String(k.typ))
	}
	return attributes
}

func (s *methods) newMethod(k methodKey) *method {
	m := &method{methodKey: k, spanName: k.name}
	if k.typ != "" {
		m.spanName = k.typ + "/" + k.name
	}
	attributes := m.metricAttributes()
	m.success = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	attributes = append(attributes, systemKey.String(system))
	m.start = []trace.SpanStartOption{s.kind, trace.WithAttributes(attributes...)}
	return m
}

// find returns a method, which may not exist.
func (s *methods) find(typ, name string) *method {
	if known := s.known.Load(); known != nil {
		if m := (*known)[methodKey{typ, name}]; m != nil {
			return m
		}
	}
	return s.newMethod(methodKey{clip(typ), clip(name)})
}

// settle returns the method under which a call of m is recorded once it is over: m, or one that stands for others.
func (s *methods) settle(m *method, exists bool) *method {
	if m.isKnown {
		return m
	}
	if !exists {
		return s.newMethod(methodKey{m.typ, other})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addLocked(m)
}

func (s *methods) addLocked(m *method) *method {
	known := map[methodKey]*method{}
	if before := s.known.Load(); before != nil {
		if have := (*before)[m.methodKey]; have != nil {
			return have
		}
		if len(*before) >= maxMethods || s.ofType[m.typ] >= maxOfType {
			return s.newMethod(methodKey{m.typ, other})
		}
		for k, v := range *before {
			known[k] = v
		}
	}
	if s.ofType == nil {
		s.ofType = map[string]int{}
	}
	s.ofType[m.typ]++
	added := *m
	added.isKnown = true
	known[m.methodKey] = &added
	s.known.Store(&known)
	return &added
}

// measured returns the attributes of the duration of a call.
func (m *method) measured(kind string) []metric.RecordOption {
	if kind == "" {
		return m.success
	}
	attributes := append(m.metricAttributes(), semconv.ErrorTypeKey.String(kind))
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
}

// callAttributes describes a call to the span that records it.
func callAttributes(call *flavors.CallInfo) []attribute.KeyValue {
	conn, ok := call.Conn().(*broker.Conn)
	if !ok {
		return nil
	}
	attributes := connAttributes(conn, !call.Incoming())
	if !call.WantsAnswer() {
		attributes = append(attributes, answerKey.Bool(false))
	}
	return attributes
}

// connAttributes describes a connection. dialed asks for the server that it was dialed to.
func connAttributes(conn *broker.Conn, dialed bool) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 8)
	if dialect := conn.Dialect(); dialect != "" {
		attributes = append(attributes, dialectKey.String(dialect))
	}
	if addr := conn.RemoteAddr(); addr != nil {
		host, port := splitAddr(addr.String())
		attributes = append(attributes,
			semconv.NetworkTransportKey.String(addr.Network()), semconv.NetworkPeerAddress(host))
		if port > 0 {
			attributes = append(attributes, semconv.NetworkPeerPort(port))
		}
	}
	if !dialed {
		return attributes
	}
	if u, err := url.Parse(conn.ServerIdentity()); err == nil && u.Hostname() != "" {
		attributes = append(attributes, semconv.ServerAddress(u.Hostname()))
		if port, _ := strconv.Atoi(u.Port()); port > 0 {
			attributes = append(attributes, semconv.ServerPort(port))
		}
	}
	return attributes
}

func splitAddr(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

// clip returns at most the first 80 bytes of a name that a peer chose, as valid UTF-8 and in memory of its own.
func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.Clone(strings.ToValidUTF8(s, "\uFFFD"))
}
