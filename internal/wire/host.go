package wire

import (
	"fmt"
	"os"
	"runtime"
)

// OwnHost returns a loopback address that no other process listens at. A test that closes a listener and needs its port
// again, or needs it to stay closed, listens there: at 127.0.0.1 another process may take the port meanwhile. Where the
// loopback interface has one address only, OwnHost returns that.
func OwnHost() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x7f, pid>>8&0xff, pid&0xff)
}
