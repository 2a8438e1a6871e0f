package main

import (
	"context"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/bench/internal/report"
	"github.com/perspectivebroker/pb/internal/stock"
)

// smallCluster returns a short comparison of calls through a gateway.
func smallCluster(t *testing.T) (c comparison, out, log *text) {
	t.Helper()
	// protoactor's remote package has data races.
	c, out, log = small(t, "ours", "relayed-clear", "relayed-mtls", "placed", "nats")
	c.options.cluster, c.options.with = true, "nats"
	c.scale.cluster = clusterScale{kills: 2, links: 3}
	return c, out, log
}

func requireEtcd(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if stock.Mandatory() {
			t.Fatal("etcd is missing: install Debian's etcd-server")
		}
		t.Skip("etcd is missing: install Debian's etcd-server")
	}
}

func TestCluster(t *testing.T) {
	requireEtcd(t)
	c, out, log := smallCluster(t)
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "cluster")
	var want []string
	for _, w := range clusterWorkloads {
		for _, s := range []string{"ours", "relayed-clear", "relayed-mtls", "placed", "nats"} {
			want = append(want, w.name+" "+s)
		}
	}
	assert.Equal(t, append(want, "memory-idle-link ours", "memory-idle-link-accepted ours", "cluster-node-killed ours"),
		rowsOf(r), log)
	for _, row := range r.Rows[:len(want)] {
		assert.Positive(t, row.Rate, row.Name)
		assert.Positive(t, row.P50, row.Name)
		assert.Positive(t, row.CPU, row.Name)
	}
	link, _ := r.Find("ours", idleLink)
	assert.Equal(t, 3, link.N)
	assert.Positive(t, link.Bytes)
	killed, _ := r.Find("ours", nodeKilled)
	assert.Equal(t, 2, killed.N)
	assert.Positive(t, killed.P50)
	assert.GreaterOrEqual(t, killed.Worst, killed.P50)
	assert.Contains(t, r.Host.Versions, "etcd")
	for _, target := range []string{
		"cluster-serial p50, relayed-clear vs ours", "cluster-serial p50, relayed-mtls vs ours",
		"cluster-pipelined calls/s, relayed-mtls vs ours", "cluster-node-killed, worst µs", "memory-idle-link, bytes",
	} {
		assert.Contains(t, out.String(), target)
	}
	assert.NotContains(t, log.String(), "compare:")
}

func TestClusterWorkloads(t *testing.T) {
	requireEtcd(t)
	c, _, log := smallCluster(t)
	c.options.workloads = nodeKilled
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{"cluster-node-killed ours"}, rowsOf(readReport(t, "cluster")))
}

// Without etcd only what needs a cluster is left out.
func TestClusterWithoutEtcd(t *testing.T) {
	c, _, log := smallCluster(t)
	c.options.workloads = "cluster-serial"
	t.Setenv("PATH", t.TempDir())
	require.NoError(t, c.run(t.Context()), log)
	assert.Equal(t, []string{"cluster-serial ours", "cluster-serial relayed-clear", "cluster-serial nats"},
		rowsOf(readReport(t, "cluster")))
	assert.Contains(t, log.String(), "compare: skipped: a cluster needs etcd")
}

func TestClusterInterrupted(t *testing.T) {
	requireEtcd(t)
	c, _, log := smallCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log.onWrite = func(s string) {
		if s == "\rcluster-multi, round 1 of 2 " {
			cancel()
		}
	}
	require.ErrorIs(t, c.run(ctx), context.Canceled)
	assert.Len(t, readReport(t, "cluster").Rows, 10)
}

// A latency of a few kills is judged by the worst one, and memory by what a link takes.
func TestClusterVerdicts(t *testing.T) {
	r := report.Report{Rows: []report.Row{
		{Name: "ours", Workload: nodeKilled, P50: 10_000, Worst: 20_001},
		{Name: "ours", Workload: idleLink, Bytes: 60 << 10},
		{Name: "ours", Workload: "cluster-pipelined", Rate: 200},
		{Name: "relayed-mtls", Workload: "cluster-pipelined", Rate: 99},
	}}
	met := map[string]bool{}
	for _, v := range r.Verdicts() {
		met[v.Name] = v.Met
	}
	assert.Equal(t, map[string]bool{
		"cluster-node-killed, worst µs": false, "memory-idle-link, bytes": true,
		"cluster-pipelined calls/s, relayed-mtls vs ours": false,
	}, met)
}
