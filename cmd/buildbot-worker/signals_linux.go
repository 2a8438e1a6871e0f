package main

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// ignoredMask is the line of /proc/self/status that says which signals are ignored.
const ignoredMask = "SigIgn:"

// resetIgnored has commands not inherit signals that this program was told to ignore by its parent, as those of the
// stock worker do not. A signal that is handled here has its usual effect again in the programs that are started; what
// is handled is thrown away, so here it is ignored as before. The signals that package os/signal can be asked about are
// handled by the Go runtime itself.
func resetIgnored() {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		text, found := strings.CutPrefix(line, ignoredMask)
		if !found {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		if err != nil {
			return
		}
		thrownAway := make(chan os.Signal, 1)
		for number := 1; number <= 64; number++ {
			if mask&(1<<(number-1)) != 0 {
				signal.Notify(thrownAway, syscall.Signal(number))
			}
		}
	}
}
