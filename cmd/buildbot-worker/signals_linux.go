package main

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// ignoredMask is the line of /proc/self/status with the ignored signals.
const ignoredMask = "SigIgn:"

// resetIgnored keeps commands from inheriting ignored signals, as the stock worker does. A process that Go starts gets
// the default action of every signal that os/signal handles. Here they stay ignored, because nothing reads the channel.
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
