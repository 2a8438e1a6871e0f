package broker

import (
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Sockets, dialers, factories and TLS callbacks may be the application's. These functions call them and recover panics.

// panicked returns an error for a panic of the application's code.
func panicked(what string, p *usercode.Panic) error {
	return fmt.Errorf("broker: %s panicked: %s", what, usercode.PanicText(p.Value))
}

// calling calls f, and returns its panic as an error.
func calling(what string, f func() error) (err error) {
	if p := usercode.Do(func() { err = f() }); p != nil {
		return panicked(what, p)
	}
	return err
}

// addressOf returns the text of an address; both are empty if f panics or returns nil.
func addressOf(f func() net.Addr) (network, text string) {
	usercode.Do(func() {
		if a := f(); a != nil {
			network, text = a.Network(), a.String()
		}
	})
	return network, text
}
