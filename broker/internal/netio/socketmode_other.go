//go:build !unix

package netio

import (
	"errors"
	"io/fs"
	"net"
)

func bindNarrow(string, fs.FileMode) (net.Listener, error) {
	return nil, errors.New("WithSocketMode is not available on this system; protect the directory")
}
