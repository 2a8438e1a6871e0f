// Conformance is a server with a fixed contract, so that any Perspective Broker program can be tested against this
// module. Its methods are those of type Conformance in internal/conformance.
//
//	go run ./examples/conformance -listen pb://127.0.0.1:0
//	go run ./examples/conformance -listen pbs://127.0.0.1:8801 -cert cert.pem -key key.pem [-client-ca ca.pem]
//	go run ./examples/conformance -listen pb+unix:///tmp/pb.sock -cred moe=secret -anonymous
//	go -C adapters/quic run ./examples/conformance -listen pbq://127.0.0.1:0 -cert cert.pem -key key.pem
//
// When it is ready it prints one line, "listening URL", with the real port; logs go to standard error. SIGINT and
// SIGTERM end it.
package main

import (
	"os"

	"github.com/perspectivebroker/pb/internal/conformance"
)

func main() { os.Exit(conformance.Main(os.Args[1:])) }
