// Package systems has a server and a client for every system that is measured. All of them do the same: a server adds two numbers and
// sends byte strings back; payloads, callers and the measuring code around them are the same, and each system is set up as its
// documentation tells a user to who wants it to be fast on one connection, with no tuning beyond that.
package systems
