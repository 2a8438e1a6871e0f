package actor

// PostFrom queues a user message as PostUserMessage does, but if the actor has nothing to do its turn begins when that
// of from is over, on the same goroutine: nobody has to be woken for it. It begins elsewhere, and at once, if from has
// another message to handle first. from may be nil; otherwise the caller must be in its turn, and about to end the
// handling of a message.
func (m *Mailbox) PostFrom(from *Mailbox, message any) {
	begin := m.post(message)
	switch {
	case !begin:
	case from == nil || from.after != nil:
		m.dispatcher.Schedule(m.run)
	default:
		from.after = m
	}
}

// unchain begins the turn of who would have come after this one.
func (m *Mailbox) unchain() {
	if next := m.after; next != nil {
		m.after = nil
		next.dispatcher.Schedule(next.run)
	}
}
