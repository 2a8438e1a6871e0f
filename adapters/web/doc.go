// Package web serves HTTP over Perspective Broker, as Twisted's twisted.web.distrib does. A front server receives HTTP
// requests and passes them to a back server, which answers them. Either end may be a stock Twisted program.
//
// # Back
//
// [Publish] makes an object of an [http.Handler], to listen with:
//
//	ln, err := broker.Listen(rt, "pb+unix:///run/site.sock", web.Publish(handler))
//
// The front is a twisted.web.distrib.ResourceSubscription or a handler made by [Mount]. The handler sees the path below
// the place where the front has mounted the back.
//
// # Front
//
// [Mount] makes an [http.Handler] that passes requests to a back, which is a twisted.web.distrib.ResourcePublisher or
// an object made by [Publish]:
//
//	client, err := broker.Reconnect[any](rt, "pb+unix:///run/site.sock", nil)
//	err = http.ListenAndServe(":8080", web.Mount(client))
//
// # Flow control
//
// A front tells the back to pause while its client reads more slowly than the back writes. A back registers a producer
// for that with the first output that it sends before its handler has returned, or when the handler has run for 5 ms.
// Both sides hold a bounded amount of each response.
//
// # Limits of the protocol
//
// The body of a request travels in one string, so a front answers 413 to more than [MaxBody] bytes. A header has one
// value: a back joins several with ", ". Cookies travel by themselves, without attributes that Twisted does not know.
// There are no trailers, no upgrades and no informational responses. The reason phrase of a status is the front's. A
// back cannot end a response early at a stock front. A Mount offers abort for that, which is an addition of this
// package.
package web
