package load

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHistogramError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "durations")
		var parts [2]Histogram
		for i, v := range values {
			parts[i%2].Record(time.Duration(v))
		}
		var h Histogram
		h.Add(&parts[0])
		h.Add(&parts[1])
		slices.Sort(values)
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			want := values[min(int(q*float64(len(values))), len(values)-1)]
			assert.InEpsilon(t, float64(want)+1, float64(h.Quantile(q))+1, 0.01)
		}
	})
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	assert.Zero(t, h.Quantile(0.5))
}

type fake struct {
	wrong bool
	err   error
}

func (f *fake) Add(_ context.Context, a, b int) (int, error) {
	if f.wrong {
		return 0, nil
	}
	return a + b, f.err
}

func (f *fake) Echo(_ context.Context, p []byte) ([]byte, error) {
	if f.wrong {
		return p[1:], nil
	}
	return p, f.err
}

func (f *fake) Close() error { return nil }

func TestRunCountsEveryCall(t *testing.T) {
	f := &fake{}
	r, err := Run(context.Background(), []Call{AddCall(f), EchoCall(f, 16), AddCall(f)}, time.Millisecond)
	require.NoError(t, err)
	assert.Positive(t, r.Calls)
	assert.EqualValues(t, r.Calls, r.Latencies.total)
	assert.Positive(t, r.Rate())
}

// A run of any length has at least one call and one latency for each caller.
func TestRunCallsAtLeastOnce(t *testing.T) {
	callers := make([]Call, 10*sampleAbove)
	for i := range callers {
		callers[i] = AddCall(&fake{})
	}
	r, err := Run(context.Background(), callers, 0)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, r.Calls, int64(len(callers)))
	assert.GreaterOrEqual(t, r.Latencies.total, uint64(len(callers)))
}

func TestRunSamplesLatencies(t *testing.T) {
	callers := make([]Call, 2*sampleAbove)
	for i := range callers {
		callers[i] = AddCall(&fake{})
	}
	r, err := Run(context.Background(), callers, 5*time.Millisecond)
	require.NoError(t, err)
	assert.Less(t, r.Latencies.total, uint64(r.Calls)/sampleEvery+uint64(len(callers))+1)
	assert.Positive(t, r.Latencies.Quantile(0.99))
}

func TestRunStopsAtError(t *testing.T) {
	broken := errors.New("broken")
	_, err := Run(context.Background(), []Call{AddCall(&fake{err: broken})}, time.Hour)
	require.ErrorIs(t, err, broken)
}

func TestWrongAnswers(t *testing.T) {
	f := &fake{wrong: true}
	assert.ErrorContains(t, AddCall(f)(context.Background(), 1), "1 + 2: 0")
	assert.ErrorContains(t, EchoCall(f, 16)(context.Background(), 1), "15 bytes")
}
