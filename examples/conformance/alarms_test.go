package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarms
		start := time.Now()
		var rung []string
		ring := func(name string) func() {
			return func() { rung = append(rung, name+" "+time.Since(start).String()) }
		}
		a.after(3*time.Second, ring("third"))
		a.after(time.Second, ring("first"))
		a.after(2*time.Second, ring("second"))
		a.after(2*time.Second, ring("behind it"))
		a.after(0, ring("now"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"now 0s", "first 1s", "second 2s", "behind it 2s"}, rung)
		a.after(500*time.Millisecond, ring("before the last"))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"before the last 2.5s", "third 3s"}, rung[4:])

		a.after(time.Second, ring("never"))
		a.end()
		a.after(time.Second, ring("never"))
		time.Sleep(time.Minute)
		assert.Len(t, rung, 6)
	})
}
