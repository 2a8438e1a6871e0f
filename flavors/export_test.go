package flavors

// GetAllPagesWithin is GetAllPages with a limit of the test's.
var GetAllPagesWithin = getAllPages

// PagesWaiting is how many pieces of memory a reader keeps, and how many bytes.
func (r *PageReader) PagesWaiting() (pieces, bytes int) {
	s := r.collector
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages), s.waiting
}
