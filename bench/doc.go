// Package bench holds what measures Perspective Broker for Go. It is a module of its own, so that the systems it is compared
// with do not weigh on the library's dependencies.
//
// The benchmarks here cover a call's stages and a whole call over TCP, both ends in this process:
//
//	go -C bench test -run '^$' -bench . -benchmem
//
// What a call costs beside other systems is measured by cmd/compare, in which every system gets two processes of its own:
//
//	go -C bench run ./cmd/compare -quick
//
// It leaves its numbers as JSON in results/, and cmd/chart draws them.
package bench
