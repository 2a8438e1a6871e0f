package actor

// Lend queues a user message as PostUserMessage does, but if the actor has nothing to do it handles the message on the
// caller's own goroutine, before Lend returns: handing it to another one costs more than most messages do, since a
// processor that sleeps has to be woken for it. Only this one message is handled there. What arrives meanwhile, and
// whatever the actor system has to say, is left to the dispatcher.
//
// It is for actors that never wait and run nobody else's code, and for messages of which the caller can bear the
// consequences: whatever the actor calls while it handles this one, it calls on the caller's goroutine, with the locks
// that the caller holds.
func (m *Mailbox) Lend(message any) {
	m.mu.Lock()
	if !m.idleLocked() {
		m.mu.Unlock()
		m.PostUserMessage(message)
		return
	}
	m.running = true
	m.mu.Unlock()
	m.lent(message)
}

// idleLocked says whether the actor waits for messages and has none.
func (m *Mailbox) idleLocked() bool {
	return m.started && !m.running && !m.suspended && !m.idler && m.dead.Load() == nil &&
		m.urgent == nil && len(m.inbox) == 0 && int(m.next.Load()) == len(m.batch)
}

// lent is the turn on the caller's goroutine.
func (m *Mailbox) lent(message any) {
	done := false
	defer func() {
		if !done {
			m.interrupted(recover(), message)
		}
		m.unchain()
		m.mu.Lock()
		m.running = m.urgent != nil || !m.suspended && len(m.inbox) > 0
		more := m.running
		m.mu.Unlock()
		if more {
			m.dispatcher.Schedule(m.run)
		}
	}()
	m.invoker.InvokeUserMessage(message)
	done = true
}
