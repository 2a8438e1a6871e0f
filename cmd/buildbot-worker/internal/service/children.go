package service

import (
	"os/exec"
	"sync"
)

// Children starts the commands of this process, and reaps the processes that it inherits: the first process of a
// container becomes the parent of those whose parents end, and must wait for them, or they stay as zombies.
type Children struct {
	// starting is held for reading while a command starts, so that the reaper does not take a command that it does not
	// know yet.
	starting sync.RWMutex

	mu  sync.Mutex
	own map[int]bool
}

// Start starts a command.
func (c *Children) Start(cmd *exec.Cmd) error {
	c.starting.RLock()
	defer c.starting.RUnlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil {
		c.own = map[int]bool{}
	}
	c.own[cmd.Process.Pid] = true
	return nil
}

// Wait waits for a command that Start started.
func (c *Children) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, cmd.Process.Pid)
	return err
}

func (c *Children) isOwn(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own[pid]
}
