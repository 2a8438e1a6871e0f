// Package bench contains the benchmarks of Perspective Broker for Go. It is a separate module, so that the systems that
// it is compared with are not dependencies of the library.
//
// The Go benchmarks here measure the stages of a call, and a whole call over TCP with both ends in one process:
//
//	go -C bench test -run '^$' -bench . -benchmem
//
// The command compare measures calls against other systems, with each system in two processes of its own:
//
//	go -C bench run ./cmd/compare -quick
//
// It writes its figures as JSON to results/. The command chart draws them.
package bench
