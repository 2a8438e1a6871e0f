package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type loadResult struct {
	Calls  int64            `json:"calls"`
	Rate   float64          `json:"rate"`
	Errors map[string]int64 `json:"errors"`
	P50    float64          `json:"p50"`
	P999   float64          `json:"p99.9"`
	Max    float64          `json:"max"`
}

func readLoad(t *testing.T, text string) loadResult {
	t.Helper()
	var l loadResult
	require.NoError(t, json.Unmarshal([]byte(text), &l), text)
	return l
}

func TestLoad(t *testing.T) {
	for _, s := range servers(t) {
		t.Run(s.name, func(t *testing.T) {
			r := pb(t, "load", "-c", "3", "-k", "5", "-n", "1000", "-json", s.url, "add", "1", "2")
			require.Equal(t, 0, r.status, r.errors)
			l := readLoad(t, r.out)
			assert.EqualValues(t, 1000, l.Calls)
			assert.Empty(t, l.Errors)
			assert.Positive(t, l.Rate)
			assert.LessOrEqual(t, l.P50, l.P999)
			assert.LessOrEqual(t, l.P999, l.Max)

			r = pb(t, "load", "-n", "2500", s.url, "counter") // more than a stock peer hands out
			assert.Equal(t, 0, r.status, r.out+r.errors)
			assert.Contains(t, r.out, "2500 calls in ")
			assert.Contains(t, r.out, "latency")
			assert.Contains(t, r.out, "≤ ")

			r = pb(t, "load", "-n", "10", "-json", s.url, "fail", "error", "x")
			assert.Equal(t, statusFailed, r.status)
			assert.Equal(t, map[string]int64{"builtins.Exception": 10}, readLoad(t, r.out).Errors)

			r = pbInTime(t, hasConnected, "load", "-n", "1", "-json", s.url, "never")
			assert.Equal(t, statusFailed, r.status)
			assert.Equal(t, map[string]int64{"timeout": 1}, readLoad(t, r.out).Errors)

			r = pb(t, "load", "-n", "3", "-json", s.url, "close")
			assert.Equal(t, statusFailed, r.status)
			assert.Equal(t, map[string]int64{"connection lost": 1}, readLoad(t, r.out).Errors)
		})
	}
}

func TestLoadRate(t *testing.T) {
	s := stockServer(t)
	begin := time.Now()
	r := pb(t, "load", "-rate", "100", "-n", "50", "-json", s.url, "add", "1")
	assert.GreaterOrEqual(t, time.Since(begin), 490*time.Millisecond)
	assert.EqualValues(t, 50, readLoad(t, r.out).Calls)
	r = inTime(func(limit string) result { return pb(t, "load", "-d", limit, "-k", "10", "-json", s.url, "add", "1") },
		func(r result) bool { return readLoad(t, r.out).Calls > 0 })
	assert.Equal(t, 0, r.status, r.out+r.errors)
	assert.Positive(t, readLoad(t, r.out).Calls)

	running := start(t, "load", "-d", "1h", "-json", s.url, "note", "called")
	s.proc.WaitLines("note called", 2) // The second call comes when the first is counted.
	assert.Equal(t, statusInterrupted, running.interrupt())
	assert.Positive(t, readLoad(t, running.out.line(t, "calls")).Calls)

	for _, args := range [][]string{
		{"-c", "0", s.url, "add"}, {"-k", "0", s.url, "add"}, {"-n", "-1", s.url, "add"}, {"-rate", "-1", s.url, "add"},
		{"-c", "1000000", s.url, "add"}, {s.url},
	} {
		assert.Equal(t, statusUsage, pb(t, append([]string{"load"}, args...)...).status, "%q", args)
	}
	assert.Equal(t, statusConnection, pb(t, "load", "pb+unix:///does/not/exist", "m").status)
}
