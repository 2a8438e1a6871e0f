// Package proxy connects to a server through an HTTP proxy with the method CONNECT.
package proxy
