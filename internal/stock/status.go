package stock

import (
	"os"
	"strconv"
	"strings"
)

// Status returns the numeric fields of /proc/pid/status by the names of proc(5), such as Threads, or VmRSS and VmHWM in
// KiB. Without /proc the error satisfies [os.IsNotExist].
func Status(pid int) (map[string]int, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil, err
	}
	figures := map[string]int{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")); err == nil {
			figures[key] = n
		}
	}
	return figures, nil
}
