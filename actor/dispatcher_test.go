package actor

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

func TestDispatcherReusesGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := zerolog.Nop()
		d := newDispatcher(2, 7, &logger)
		assert.Equal(t, 7, d.Throughput())
		release := make(chan struct{})
		var running sync.WaitGroup
		for range 5 {
			running.Add(1)
			d.Schedule(func() {
				defer running.Done()
				<-release
			})
		}
		synctest.Wait()
		assert.Equal(t, 5, d.live, "a blocked turn does not block others")
		assert.Equal(t, 5, d.busy())
		close(release)
		running.Wait()
		synctest.Wait()
		assert.Equal(t, 2, d.live, "two stay")
		assert.Zero(t, d.busy())
		ran := make(chan struct{})
		d.Schedule(func() { close(ran) })
		<-ran
		synctest.Wait()
		assert.Equal(t, 2, d.live)
		d.close()
		d.close()
		assert.Zero(t, d.live)
	})
}

func TestDispatcherAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := zerolog.Nop()
		d := newDispatcher(10, 1, &logger)
		ran := make(chan int, 3)
		hold := make(chan struct{})
		d.Schedule(func() {
			<-hold
			d.Schedule(func() { ran <- 2 }) // close waits for this one too
			ran <- 1
		})
		closed := make(chan struct{})
		go func() {
			d.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("closed while a turn was under way")
		default:
		}
		close(hold)
		<-closed
		assert.Len(t, ran, 2)
		d.Schedule(func() { ran <- 3 })
		synctest.Wait()
		assert.Len(t, ran, 3)
		assert.Zero(t, d.live)
	})
}

func TestDispatcherSurvivesPanicsAndGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := zerolog.New(&log)
		d := newDispatcher(10, 1, &logger)
		d.Schedule(func() { panic("oh") })
		synctest.Wait()
		assert.Equal(t, 1, d.live)
		assert.Contains(t, log.String(), `"panic":"oh"`)
		assert.Contains(t, log.String(), "dispatcher_test.go")
		d.Schedule(runtime.Goexit)
		synctest.Wait()
		assert.Zero(t, d.live)
		d.close()
	})
}
