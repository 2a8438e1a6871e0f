package paging

// GetAllWithin is GetAll with a limit of the test's.
var GetAllWithin = getAll

// Waiting is how many pieces of memory a reader keeps, and how many bytes.
func (r *Reader) Waiting() (pieces, bytes int) {
	s := r.collector
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages), s.waiting
}
