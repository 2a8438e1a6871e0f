package paging

// GetAllWithin is GetAll with another limit.
var GetAllWithin = getAll

// Waiting returns how many slices and bytes a reader keeps.
func (r *Reader) Waiting() (pieces, bytes int) {
	s := r.collector
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages), s.waiting
}
