package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with them: 128 to each power of two, an error below one percent.
type Histogram struct {
	buckets [64 - subBits][1 << subBits]uint32
	used    uint64 // a bit for each power of two that has been recorded: most are not, and merging skips them
	total   uint64
}

const subBits = 7

// Record counts one duration.
func (h *Histogram) Record(d time.Duration) {
	i, j := bucket(d)
	h.buckets[i][j]++
	h.used |= 1 << i
	h.total++
}

// bucket finds the power of two and the part of it.
func bucket(d time.Duration) (power, part int) {
	v := uint64(max(d, 0))
	if v < 1<<subBits {
		return 0, int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min(shift+1, 63-subBits), int(v>>shift) & (1<<subBits - 1)
}

// middle is the duration in the middle of a bucket.
func middle(power, part int) time.Duration {
	if power == 0 {
		return time.Duration(part)
	}
	shift := power - 1
	low := (uint64(1)<<subBits | uint64(part)) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

// Add counts what another histogram has counted.
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

// Quantile is the duration that the fraction q of all does not exceed; 0 for an empty histogram.
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
	return h.longest()
}

func (h *Histogram) longest() (d time.Duration) {
	for i := range h.buckets {
		for j, n := range h.buckets[i] {
			if n > 0 {
				d = middle(i, j)
			}
		}
	}
	return d
}
