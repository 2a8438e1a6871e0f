// Package webs measures HTTP over Perspective Broker: package web and stock Twisted's twisted.web.distrib, as fronts
// and as backs, and both servers alone. Each front and each back is a process; the clients are in the calling process.
package webs
