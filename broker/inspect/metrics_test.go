package inspect

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	dto "github.com/prometheus/client_model/go"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// metricsOf reads the metrics with Prometheus's own parser.
func metricsOf(t *testing.T, rt *actor.Runtime) map[string]*dto.MetricFamily {
	t.Helper()
	_, _, body := get(t, Handler(rt), "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	require.NoError(t, err, body)
	return families
}

// find returns the series of a family with the given labels, pairs of name and value; nil if there is none.
func find(f *dto.MetricFamily, labels ...string) *dto.Metric {
	for _, m := range f.GetMetric() {
		matching := 0
		for _, l := range m.GetLabel() {
			for i := 0; i < len(labels); i += 2 {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					matching += 2
				}
			}
		}
		if matching == len(labels) {
			return m
		}
	}
	return nil
}

func TestMetrics(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	conn := serve(t, rt, newShop())()
	for range 3 {
		_, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
		require.NoError(t, err)
	}
	for _, method := range []string{"fail", "break", "no_such_1", "no_such_2", "no_such_3"} {
		_, err := flavors.Call[any](t.Context(), conn.Root(), method)
		require.Error(t, err)
	}
	_, err := flavors.Call[any](t.Context(), conn.Published("vault"), "open")
	require.Error(t, err)
	pbtest.Eventually(t, func() bool { return snapshotOf(t, Handler(rt)).Objects[0].Restarts == 1 })

	f := metricsOf(t, rt)
	for name, family := range f {
		assert.True(t, strings.HasPrefix(name, "pb_"), name)
		assert.NotEmpty(t, family.GetHelp(), name)
		counter := family.GetType() == dto.MetricType_COUNTER
		assert.Equal(t, counter, strings.HasSuffix(name, "_total"), name)
	}
	assert.InDelta(t, 1, f["pb_connections"].GetMetric()[0].GetGauge().GetValue(), 0)
	assert.InDelta(t, 9, find(f["pb_calls_total"], "direction", "in").GetCounter().GetValue(), 0)
	assert.InDelta(t, 6, find(f["pb_calls_failed_total"], "direction", "in").GetCounter().GetValue(), 0)
	assert.InDelta(t, 1, find(f["pb_refusals_total"], "reason", "unknown object").GetCounter().GetValue(), 0)
	assert.InDelta(t, 1, find(f["pb_actor_restarts_total"], "kind", "shop").GetCounter().GetValue(), 0)
	assert.InDelta(t, 1, find(f["pb_actors"], "branch", "objects", "kind", "shop").GetGauge().GetValue(), 0)

	durations := f["pb_call_duration_seconds"]
	assert.Equal(t, dto.MetricType_HISTOGRAM, durations.GetType())
	unknown := find(durations, "direction", "in", "type", "", "method", broker.UnknownMethod).GetHistogram()
	assert.EqualValues(t, 3, unknown.GetSampleCount(), "methods that do not exist share one series")
	add := find(durations, "direction", "in", "type", "shop", "method", "add").GetHistogram()
	assert.EqualValues(t, 3, add.GetSampleCount())
	assert.Positive(t, add.GetSampleSum())
	last := uint64(0)
	for _, b := range add.GetBucket() {
		assert.GreaterOrEqual(t, b.GetCumulativeCount(), last)
		last = b.GetCumulativeCount()
	}
	assert.EqualValues(t, 3, last)
	assert.Len(t, add.GetBucket(), len(broker.LatencyBounds())+1)
}

// anything takes methods of any name.
type anything struct{ flavors.Root }

func (*anything) HandleRemote(*flavors.Invocation) (any, error) { return nil, nil }

// TestHostileNames is about what peers choose: nothing of it gets out of its place.
func TestHostileNames(t *testing.T) {
	hostile := []string{
		"a\"} 1\npb_evil_total 2\n", `back\slash`, "</script><script>alert(1)</script>", "e\u202evil", "\xff\x00\x1b[31m",
		"data: x\n\nevent: snapshot\ndata: {}",
	}
	rt := pbtest.NewRuntime(t)
	conn := serve(t, rt, &anything{})()
	for _, name := range hostile {
		_, err := flavors.Call[any](t.Context(), conn.Root(), strings.ToValidUTF8(name, "?"))
		require.NoError(t, err)
	}
	users := serve(t, rt, logins(t, "mal\u202elory", `<img src=x onerror="alert(1)">`))()
	for _, name := range []string{"mal\u202elory", `<img src=x onerror="alert(1)">`} {
		_, err := users.Login(t.Context(), cred.UsernamePassword{Username: name, Password: "sesame"}, nil)
		require.NoError(t, err)
	}
	f := metricsOf(t, rt)
	assert.NotContains(t, f, "pb_evil_total")
	calls := f["pb_method_calls_total"]
	assert.NotNil(t, find(calls, "method", `a"} 1\x0apb_evil_total 2\x0a`))
	assert.NotNil(t, find(calls, "method", `back\\slash`))
	_, _, metrics := get(t, Handler(rt), "/metrics")
	_, _, json := get(t, Handler(rt), "/json")
	for _, body := range []string{metrics, json} {
		for _, c := range []string{"\x00", "\x1b", "\u202e"} {
			assert.NotContains(t, body, c)
		}
	}
	for _, c := range []string{"\n", "\r", "<", ">"} {
		assert.NotContains(t, json, c, "an event is one line, and no HTML")
	}
}

func TestEscapeLabel(t *testing.T) {
	for s, want := range map[string]string{`a"b`: `a\"b`, `a\b`: `a\\\\b`, "a\nb": `a\\x0ab`, "plain": "plain"} {
		assert.Equal(t, want, escapeLabel(s))
	}
}
