// Package otel connects Perspective Broker to OpenTelemetry: spans for calls, trace contexts that travel with them,
// metrics, and log lines that name the trace.
//
//	tracing := broker.WithInterceptor(otel.Interceptor())
//	ln, err := broker.Listen(rt, "pb://:8787", root, tracing)
//	conn, err := broker.Dial(ctx, rt, "pb://example.org:8787", tracing)
//	err = otel.Observe(rt, meter)
//
// # Spans
//
// Each call to a peer has a span of kind client, each call of a peer one of kind server. A span ends with the result:
// at once for a call that wants no answer, and when the Deferred completes for a method that returns one. A call made
// with the ctx of a method is a child of the method's span. [flavors.RemoteReference.CallRemote] takes no ctx, so its
// spans have no parent: use [flavors.Start].
//
// Spans have the semantic conventions for RPC, version 1.43:
//
//	rpc.system.name          "perspectivebroker"; also as rpc.system, the name of earlier versions
//	rpc.service              the type of the object that the peer calls, or the name under which the peer publishes it
//	rpc.method               the method's name on the wire; "_OTHER" if it does not exist, then with rpc.method_original
//	network.peer.address     the peer's address; also network.peer.port and network.transport
//	server.address           of a call to a peer: the host that was dialed; also server.port
//	error.type               the type of the exception as the caller sees it, such as "builtins.ValueError"
//	pb.dialect               what the connection speaks; traces end where it is not "pb+1"
//	pb.answer                false for a call that wants no answer
//
// Arguments, results and the texts of exceptions are never recorded.
//
// # Trace contexts
//
// Under dialect pb+1 a call carries the context of its span in its metadata, as traceparent and tracestate. A stock
// peer gets the call as it would without this package, and a call of a stock peer begins a trace. Metadata has a limit
// ([flavors.MaxMetadataBytes]). What a propagator adds beyond it is left out: a call must not fail for its trace.
//
// A peer chooses the trace of its calls, and whether they are sampled. [WithPublicEndpoint] does not trust it.
//
// # Metrics
//
// The interceptor records rpc.client.call.duration and rpc.server.call.duration in seconds, with the attributes
// rpc.system.name, rpc.service, rpc.method and error.type. Names that peers choose are bounded: at most 1,024 methods
// in each direction and 256 of one type, and 64 types of exceptions. The others are "_OTHER".
//
// [Observe] reports what the runtime counts anyway, under names that begin with "pb.".
package otel
