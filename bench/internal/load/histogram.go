package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in 128 buckets for each power of two nanoseconds, so its quantiles are within one percent.
// The zero value is ready to use.
type Histogram struct {
	buckets [64 - subBits][1 << subBits]uint32
	used    uint64 // one bit for each power of two with records; Add skips the others
	total   uint64
}

const subBits = 7

// Record adds one duration.
func (h *Histogram) Record(d time.Duration) {
	i, j := bucket(d)
	h.buckets[i][j]++
	h.used |= 1 << i
	h.total++
}

// bucket returns the indexes of the bucket for d.
func bucket(d time.Duration) (power, part int) {
	v := uint64(max(d, 0))
	if v < 1<<subBits {
		return 0, int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min(shift+1, 63-subBits), int(v>>shift) & (1<<subBits - 1)
}

// middle returns the duration in the middle of a bucket.
func middle(power, part int) time.Duration {
	if power == 0 {
		return time.Duration(part)
	}
	shift := power - 1
	low := (uint64(1)<<subBits | uint64(part)) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

// Add adds the counts of other.
func (h *Histogram) Add(other *Histogram) {
	for i := range other.buckets {
		if other.used&(1<<i) == 0 {
			continue
		}
		for j, n := range other.buckets[i] {
			h.buckets[i][j] += n
		}
	}
	h.used |= other.used
	h.total += other.total
}

// Quantile returns the q-quantile of the recorded durations, for q between 0 and 1. It returns 0 if the histogram is
// empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i := range h.buckets {
		for j, n := range h.buckets[i] {
			if seen += uint64(n); n > 0 && seen > rank {
				return middle(i, j)
			}
		}
	}
	return h.maximum()
}

func (h *Histogram) maximum() (d time.Duration) {
	for i := range h.buckets {
		for j, n := range h.buckets[i] {
			if n > 0 {
				d = middle(i, j)
			}
		}
	}
	return d
}
