// Package endpoint reads the client strings of Twisted's endpoints, with which a buildbot.tac says where the master or
// a proxy is: "tcp:host:port", "tls:host:port", "ssl:host:port" and "unix:path", with their options.
package endpoint
