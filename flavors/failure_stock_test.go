package flavors

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const failureScript = "testdata/gen_failures.py"

// The committed failures equal those of the installed Twisted.
func TestGoldenFailures(t *testing.T) {
	stock.Require(t)
	made, err := exec.Command(stock.Python, failureScript).Output()
	require.NoError(t, err)
	committed, err := os.ReadFile("testdata/failures.json")
	require.NoError(t, err)
	var a, b struct{ Failures any }
	require.NoError(t, json.Unmarshal(made, &a))
	require.NoError(t, json.Unmarshal(committed, &b))
	assert.Equal(t, b, a)
}

// stockExaminer is a stock program that receives failures and reports how its code can trap them.
type stockExaminer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

type examination struct {
	Error, Class, Message, Trapped, Traceback, PrintTraceback, GetTraceback string
	Checked                                                                 any
	ByClass                                                                 []string
	PrintBriefTraceback, PrintDetailedTraceback                             string
	Thrown                                                                  any
	PassedOn                                                                []any
}

func startExaminer(t *testing.T) *stockExaminer {
	t.Helper()
	stock.Require(t)
	cmd := exec.Command(stock.Python, failureScript, "--serve")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close() // ends the program
		_, _ = io.Copy(io.Discard, out)
		assert.NoError(t, cmd.Wait(), stderr.String())
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	return &stockExaminer{t, in, lines}
}

func (s *stockExaminer) examine(p banana.Profile, f *Failure, check, trap []string) examination {
	s.t.Helper()
	question, err := json.Marshal(map[string]any{
		"hex": hex.EncodeToString(encodeFailure(s.t, p, f)), "profile": p.String(), "check": check, "trap": trap,
	})
	require.NoError(s.t, err)
	_, err = s.in.Write(append(question, '\n'))
	require.NoError(s.t, err)
	require.True(s.t, s.out.Scan(), "the stock program has ended: %v", s.out.Err())
	var answer examination
	require.NoError(s.t, json.Unmarshal(s.out.Bytes(), &answer), s.out.Text())
	require.Empty(s.t, answer.Error)
	return answer
}

func TestStockReadsFailures(t *testing.T) {
	s := startExaminer(t)
	for _, tc := range []struct {
		name    string
		err     error
		check   []string
		byClass []string
	}{
		{"plain", errors.New("boom"), []string{"builtins.Exception"}, []string{"Exception"}},
		{"custom", excCustom.New("größer"), []string{"conformance.Custom", "twisted.spread.pb.Error"},
			[]string{"Exception", "Error"}},
		{"wrapped", fmt.Errorf("around: %w", excMixed.New("m")), []string{"builtins.LookupError", "conformance.Custom"},
			[]string{"Exception", "KeyError", "Error"}},
		{"no such method", NoSuchMethod.New("No such method: remote_x"), []string{"builtins.AttributeError"},
			[]string{"Exception", "NoSuchMethod"}},
		{"bare", excCustom, []string{"conformance.Custom"}, []string{"Exception", "Error"}},
		{"panic", panics("secret"), []string{"builtins.RuntimeError"}, []string{"Exception"}},
		{"by hand", &Failure{Type: "a.B", Value: "v"}, []string{"a.B"}, []string{"Exception"}},
		{"from a peer", &Failure{Type: "a.B", Value: "v", Parents: []string{"a.B", "builtins.KeyError"}, remote: true},
			[]string{"a.B"}, []string{"KeyError"}},
	} {
		for _, p := range profiles {
			t.Run(fmt.Sprintf("%s, profile %v", tc.name, p), func(t *testing.T) {
				f := failureFor(tc.err, false)
				for _, name := range tc.check {
					got := s.examine(p, f, []string{"no.Such", name}, []string{name})
					assert.Equal(t, "twisted.spread.pb.CopiedFailure", got.Class)
					assert.Equal(t, name, got.Checked)
					assert.Equal(t, name, got.Trapped)
					assert.Equal(t, f.Value, got.Message)
					assert.Equal(t, tc.byClass, got.ByClass)
					printed := "Traceback from remote host -- " + f.Type + ": " + f.Value + "\n"
					assert.Equal(t, printed, got.PrintTraceback)
					assert.Equal(t, printed, got.PrintBriefTraceback)
					assert.Equal(t, printed, got.PrintDetailedTraceback)
					assert.Equal(t, printed, got.GetTraceback)
					assert.Equal(t, noTraceback, got.Traceback)
					assert.Equal(t, []any{f.Type, f.Value, noTraceback}, got.Thrown, "what an inlineCallbacks function catches")
					assert.Equal(t, f.Type, got.PassedOn[0])
					assert.Equal(t, f.Value, got.PassedOn[1])
					assert.Len(t, got.PassedOn[2], len(f.parents()))
				}
			})
		}
	}
	got := s.examine(banana.ProfilePB, failureFor(errors.New("x"), false), []string{"builtins.KeyError"}, nil)
	assert.Nil(t, got.Checked)
	f := failureFor(panics("shown"), true)
	got = s.examine(banana.ProfilePB, f, nil, []string{"builtins.RuntimeError"})
	assert.Equal(t, "panic: shown", got.Message)
	assert.Equal(t, f.Traceback, got.Traceback)
	long := &Failure{
		Type:      "a.B",
		Value:     strings.Repeat("ü", MaxFailureText/2),
		Traceback: strings.Repeat("t", MaxFailureText),
		reveal:    true,
	}
	got = s.examine(banana.ProfilePB, long, nil, []string{"a.B"})
	assert.Equal(t, long.Value, got.Message, "the text arrives whole")
	assert.Equal(t, long.Traceback, got.Traceback, "the traceback, too")
}
