// Package systems contains a server and a client for each measured system. All servers do the same: they add two
// numbers and echo byte strings. Payloads, callers and measuring code are the same for all. Each system is configured
// as its documentation recommends for speed on one connection, without further tuning.
package systems
