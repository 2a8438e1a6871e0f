package report

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Host describes the machine and the versions of the compared systems. It does not contain the host name.
type Host struct {
	Date     string            `json:"date"`
	OS       string            `json:"os"`
	Kernel   string            `json:"kernel,omitempty"`
	CPU      string            `json:"cpu,omitempty"`
	Cores    int               `json:"cores"`
	Go       string            `json:"go"`
	Load     string            `json:"load_average,omitempty"` // before the first round
	Commit   string            `json:"commit,omitempty"`
	Modified bool              `json:"modified,omitempty"` // tracked files have uncommitted changes
	Versions map[string]string `json:"versions"`
}

// comparedModules maps the modules whose versions are reported to their names in [Host.Versions].
var comparedModules = map[string]string{
	"google.golang.org/grpc":            "grpc",
	"github.com/asynkron/protoactor-go": "protoactor",
	"connectrpc.com/connect":            "connect",
	"github.com/nats-io/nats-server/v2": "nats",
	"google.golang.org/protobuf":        "protobuf",
}

// CurrentHost describes this machine. Fields that cannot be determined are empty.
func CurrentHost() Host {
	h := Host{
		Date: time.Now().UTC().Format(time.RFC3339), OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(),
		Go: runtime.Version(), Versions: map[string]string{},
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Load: firstLine("/proc/loadavg"), CPU: cpuModel(),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if name, ok := comparedModules[m.Path]; ok {
				h.Versions[name] = m.Version
			}
		}
	}
	if v := output("/usr/bin/python3", "-c", "import twisted; print(twisted.__version__)"); v != "" {
		h.Versions["twisted"] = v
	}
	if v := output("etcd", "--version"); v != "" {
		h.Versions["etcd"] = strings.TrimPrefix(strings.SplitN(v, "\n", 2)[0], "etcd Version: ")
	}
	h.Commit = output("git", "rev-parse", "--short=12", "HEAD")
	h.Modified = h.Commit != "" && output("git", "status", "--porcelain", "--untracked-files=no") != ""
	return h
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return strings.TrimSpace(string(line))
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
