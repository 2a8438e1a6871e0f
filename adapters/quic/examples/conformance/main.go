// Conformance is examples/conformance of the main module, which also listens at pbq:// URLs.
//
//	go -C adapters/quic run ./examples/conformance -listen pbq://127.0.0.1:0 -cert cert.pem -key key.pem
package main

import (
	"os"

	"github.com/perspectivebroker/pb/adapters/quic"
	"github.com/perspectivebroker/pb/internal/conformance"
)

func main() { os.Exit(conformance.Main(os.Args[1:], quic.Transport(quic.Config{}))) }
