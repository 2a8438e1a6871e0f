package broker

import (
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Sockets, dialers, factories and TLS callbacks may be the application's own. What follows calls them where their panic
// must not get through.

// panicked makes an error of the panic of the application's code, without its value.
func panicked(what string, p *usercode.Panic) error {
	return fmt.Errorf("broker: %s panicked: %s", what, usercode.PanicText(p.Value))
}

// calling calls the application's code and returns its panic as an error.
func calling(what string, f func() error) (err error) {
	if p := usercode.Do(func() { err = f() }); p != nil {
		return panicked(what, p)
	}
	return err
}

// addressOf is the text of an address, of a socket that may be the application's own.
func addressOf(f func() net.Addr) (network, text string) {
	usercode.Do(func() {
		if a := f(); a != nil {
			network, text = a.Network(), a.String()
		}
	})
	return network, text
}
