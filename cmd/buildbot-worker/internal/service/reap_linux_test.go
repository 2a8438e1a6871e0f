package service

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hasAbstract reports that there are sockets in the abstract namespace.
const hasAbstract = true

// TestReaper makes this process the parent of orphans, as the first process of a container is, and starts commands at
// the same time: none of their exit statuses may be lost.
func TestReaper(t *testing.T) {
	var none Children
	assert.False(t, none.Adopt(), "not the first process")

	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	var c Children
	require.True(t, c.Adopt())
	var mu sync.Mutex
	var orphans []int
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			cmd := exec.Command("sh", "-c", fmt.Sprintf("sleep 0.05 & echo $!; exit %d", i))
			out, err := cmd.StdoutPipe()
			if !assert.NoError(t, err) || !assert.NoError(t, c.Start(cmd)) {
				return
			}
			text := make([]byte, 20)
			n, _ := out.Read(text)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
			assert.NoError(t, err)
			mu.Lock()
			orphans = append(orphans, pid)
			mu.Unlock()
			_ = c.Wait(cmd)
			assert.Equal(t, i, cmd.ProcessState.ExitCode())
		})
	}
	running.Wait()
	assert.Eventually(t, func() bool {
		for _, pid := range orphans {
			// Somebody else's process may get the number.
			if status, err := stock.Status(pid); err == nil && status["PPid"] == os.Getpid() {
				return false
			}
		}
		return true
	}, time.Minute, 10*time.Millisecond, "a zombie is left")
	assert.Empty(t, c.own)
}
