package actor

// urgent is a queue of system messages: a ring of which the last member is known. They are rare, and so
// the queue takes no room in a mailbox but for this one pointer.
type urgent struct {
	message any
	next    *urgent
}

// push returns the new last member.
func (last *urgent) push(message any) *urgent {
	u := &urgent{message: message}
	if last == nil {
		u.next = u
		return u
	}
	u.next = last.next
	last.next = u
	return u
}

// pop returns the first message and the last member that remains.
func (last *urgent) pop() (any, *urgent) {
	first := last.next
	if first == last {
		return first.message, nil
	}
	last.next = first.next
	return first.message, last
}
