package interop

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// ponds are the programs of twisted-doc that send ponds, and our examples that do the same. All pairs print the same
// lines.
var ponds = []struct {
	name             string
	example          string
	flags            []string // our sender's
	receiver, sender string   // listings
	atReceiver       []string
	atSender         []string
}{
	{
		name: "cache", example: "duckpond", receiver: "cache_receiver.py", sender: "cache_sender.py",
		atReceiver: []string{
			" cache - sitting, er, setting ducks",
			"got pond:",
			"[2] ducks:  ['one duck', 'two duck']",
			" cache - addDuck",
			"[3] ducks:  ['one duck', 'two duck', 'ugly duckling']",
			" cache - removeDuck",
			"[2] ducks:  ['two duck', 'ugly duckling']",
			"dropping pond",
		},
		atSender: []string{"I have [2] ducks", "I have [3] ducks", "I have [2] ducks"},
	},
	{
		name: "copy", example: "copypond", receiver: "copy_receiver.tac", sender: "copy_sender.py",
		atReceiver: []string{" got pond:", "7 frogs"},
		atSender:   []string{"7 frogs", "copy_sender.CopyPond", "pond arrived safe and sound"},
	},
	{
		name: "copy2", example: "copypond", flags: []string{"-copy2"}, receiver: "copy2_receiver.py",
		sender:     "copy2_sender.py",
		atReceiver: []string{" got pond:", " count 7"},
		atSender:   []string{"count 7", "pond arrived safe and sound"},
	},
}

// TestPondListings runs the listings and our examples in every pairing.
func TestPondListings(t *testing.T) {
	stock.Require(t, stock.Docs)
	build := t.TempDir()
	for _, p := range ponds {
		program := buildExample(t, build, p.example)
		listing := func(name string) string { return filepath.Join(stock.PBListings, name) }
		ourReceiver := func(t *testing.T) (addr string, lines func() []string) {
			receiver := startExample(t, program, "receiver", "-listen", "pb://127.0.0.1:0")
			return strings.TrimPrefix(receiver.waitLine(t, "listening pb://"), "listening pb://"), receiver.stop
		}
		stockReceiver := func(t *testing.T) (addr string, lines func() []string) {
			receiver := stock.StartListing(t, filepath.Join(unpack(t), "twistd.py"), "", listing(p.receiver))
			addr = "127.0.0.1:" + receiver.WaitMatch(` port (\d+)$`)[1]
			return addr, func() []string {
				// The sender knows that it arrived, which is printed before the answer.
				receiver.WaitLine(p.atReceiver[len(p.atReceiver)-1])
				return printed(receiver.Lines())
			}
		}
		ourSender := func(t *testing.T, addr string) []string {
			sender := startExample(t, program, append([]string{"sender", "-connect", "pb://" + addr}, p.flags...)...)
			return sender.lines(t)
		}
		stockSender := func(t *testing.T, addr string) []string {
			sender := stock.StartListing(t, listing(p.sender), addr)
			assert.Equal(t, 0, sender.Exit())
			return sender.Lines()
		}
		for name, ends := range map[string]struct {
			receiver func(*testing.T) (string, func() []string)
			sender   func(*testing.T, string) []string
		}{
			"stock to stock": {stockReceiver, stockSender},
			"stock to ours":  {ourReceiver, stockSender},
			"ours to stock":  {stockReceiver, ourSender},
			"ours to ours":   {ourReceiver, ourSender},
		} {
			t.Run(p.name+" "+name, func(t *testing.T) {
				addr, received := ends.receiver(t)
				assert.Equal(t, p.atSender, ends.sender(t, addr))
				assert.Equal(t, p.atReceiver, withoutAddresses(received()))
			})
		}
	}
}

// printed returns what an application under twistd has printed, without the log.
func printed(lines []string) (own []string) {
	for _, line := range lines {
		if _, text, ok := strings.Cut(line, " [stdout#info] "); ok && !strings.HasPrefix(text, "port ") {
			own = append(own, text)
		}
	}
	return own
}

var pondItself = regexp.MustCompile(`^( ?got pond:).*`)

// withoutAddresses removes each language's description of an object.
func withoutAddresses(lines []string) []string {
	for i, line := range lines {
		lines[i] = pondItself.ReplaceAllString(line, "$1")
	}
	return lines
}

func buildExample(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	out, err := exec.Command("go", "build", "-o", path, "../../examples/"+name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// example is one of our programs as a process.
type example struct {
	cmd  *exec.Cmd
	out  *bufio.Scanner
	read []string
}

func startExample(t *testing.T, program string, args ...string) *example {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stock.Timeout)
	e := &example{cmd: exec.CommandContext(ctx, program, args...)}
	e.cmd.Cancel = func() error { return e.cmd.Process.Signal(os.Interrupt) }
	e.cmd.WaitDelay = 10 * time.Second
	e.cmd.Stderr = io.Discard // A failure shows in missing lines.
	out, err := e.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, e.cmd.Start())
	e.out = bufio.NewScanner(out)
	t.Cleanup(func() {
		cancel()
		for e.out.Scan() {
		}
		_ = e.cmd.Wait()
	})
	return e
}

// waitLine reads up to a line with that prefix. lines does not return what it read.
func (e *example) waitLine(t *testing.T, prefix string) string {
	t.Helper()
	for e.out.Scan() {
		if strings.HasPrefix(e.out.Text(), prefix) {
			return e.out.Text()
		}
	}
	t.Fatalf("%s ended without a line that begins with %q", e.cmd.Path, prefix)
	return ""
}

// lines returns the rest of the output until the program ends.
func (e *example) lines(t *testing.T) []string {
	t.Helper()
	for e.out.Scan() {
		e.read = append(e.read, e.out.Text())
	}
	return e.read
}

// stop is lines for a program that must be stopped: the copy listings run on.
func (e *example) stop() []string {
	_ = e.cmd.Process.Signal(os.Interrupt)
	for e.out.Scan() {
		e.read = append(e.read, e.out.Text())
	}
	return e.read
}
