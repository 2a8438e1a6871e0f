package conformance

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a timers
		start := time.Now()
		var rung []string
		fire := func(name string) func() {
			return func() { rung = append(rung, name+" "+time.Since(start).String()) }
		}
		a.after(3*time.Second, fire("third"))
		a.after(time.Second, fire("first"))
		a.after(2*time.Second, fire("second"))
		a.after(2*time.Second, fire("behind it"))
		a.after(0, fire("now"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"now 0s", "first 1s", "second 2s", "behind it 2s"}, rung)
		a.after(500*time.Millisecond, fire("before the last"))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"before the last 2.5s", "third 3s"}, rung[4:])

		dropped := a.after(time.Second, fire("never"))
		last := a.after(2*time.Second, fire("never"))
		a.drop(dropped)
		a.drop(dropped)
		time.Sleep(1500 * time.Millisecond)
		assert.Len(t, rung, 6)
		a.end()
		a.drop(last)
		a.after(time.Second, fire("never"))
		time.Sleep(time.Minute)
		assert.Len(t, rung, 6)
	})
}
