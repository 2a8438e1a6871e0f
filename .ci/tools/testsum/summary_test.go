package main

import (
	"strings"
	"testing"
)

func run(t *testing.T, noSkips bool, events ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(strings.NewReader(strings.Join(events, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	ok := s.close(noSkips)
	return out.String(), ok
}

func TestSummary(t *testing.T) {
	pass := []string{
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Output":"PASS\n"}`,
		`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
		`{"Action":"pass","Package":"p"}`,
	}
	skip := []string{
		`{"Action":"output","Package":"q","Test":"TestB","Output":"=== RUN TestB\n"}`,
		`{"Action":"output","Package":"q","Test":"TestB","Output":"    b_test.go:1: no stock\n"}`,
		`{"Action":"skip","Package":"q","Test":"TestB"}`,
		`{"Action":"pass","Package":"q"}`,
	}
	fail := []string{
		`{"Action":"output","Package":"r","Test":"TestC","Output":"    c_test.go:1: broken\n"}`,
		`{"Action":"fail","Package":"r","Test":"TestC"}`,
		`{"Action":"output","Package":"r","Output":"FAIL\tr\t0.1s\n"}`,
		`{"Action":"fail","Package":"r"}`,
	}
	dead := []string{
		`{"Action":"build-output","ImportPath":"d","Output":"d.go:1: undefined\n"}`,
		`{"Action":"build-fail","ImportPath":"d"}`,
		`{"Action":"output","Package":"d","Test":"TestD","Output":"cut off\n"}`,
		`{"Action":"output","Package":"d","Output":"FAIL\td [build failed]\n"}`,
		`{"Action":"fail","Package":"d"}`,
	}
	for _, test := range []struct {
		name    string
		events  []string
		noSkips bool
		out     string
		ok      bool
	}{
		{"pass", pass, true, "ok  \tp\t0.1s\n1 passed, 0 failed, 0 skipped\n", true},
		{"skip", append(pass[:6:6], skip...), false,
			"ok  \tp\t0.1s\n    b_test.go:1: no stock\n1 passed, 0 failed, 1 skipped\n", true},
		{"skip refused", append(pass[:6:6], skip...), true,
			"ok  \tp\t0.1s\n    b_test.go:1: no stock\n1 passed, 0 failed, 1 skipped\n" +
				"testsum: no test may be skipped; install what the skipped tests need\n", false},
		{"fail", append(pass[:6:6], fail...), false,
			"ok  \tp\t0.1s\n    c_test.go:1: broken\nFAIL\tr\t0.1s\n1 passed, 1 failed, 0 skipped\n", false},
		{"package fails to build", dead, false,
			"d.go:1: undefined\ncut off\nFAIL\td [build failed]\n0 passed, 1 failed, 0 skipped\n", false},
		{"nothing", nil, false, "\n0 passed, 0 failed, 0 skipped\ntestsum: no test ran\n", false},
		{"not json", append([]string{"go: no such flag"}, pass...), false,
			"go: no such flag\nok  \tp\t0.1s\n1 passed, 0 failed, 0 skipped\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, ok := run(t, test.noSkips, test.events...)
			if out != test.out || ok != test.ok {
				t.Errorf("got %v:\n%s\nwant %v:\n%s", ok, out, test.ok, test.out)
			}
		})
	}
}
