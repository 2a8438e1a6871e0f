package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// tries has the requests that wait for their workers. Each worker builds one at a time.
type tries struct {
	names []string // of the builders, sorted
	done  func()   // called when the first user who has made requests has left and all of them have ended

	mu      sync.Mutex
	waiting map[string][]*buildRequest // by builder
	changed chan struct{}              // closed and replaced when a request was added
	running map[*build]bool
	stopped bool
}

var errStopped = flavors.PBError.New("the master stops")

func newTries(names []string, done func()) *tries {
	slices.Sort(names)
	return &tries{
		names:   names,
		done:    done,
		waiting: map[string][]*buildRequest{},
		changed: make(chan struct{}),
		running: map[*build]bool{},
	}
}

// choose returns the requested builders, each once. It returns all if none is requested, and none if one is unknown.
func (t *tries) choose(requested []string) []string {
	if len(requested) == 0 {
		return t.names
	}
	var chosen []string
	for _, name := range requested {
		if _, ok := slices.BinarySearch(t.names, name); !ok {
			return nil
		}
		if !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// add requests a build on each of the builders, or on none if one has too many requests.
func (t *tries) add(user *tryUser, names []string, patch []byte) (*buildSet, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if len(t.waiting[name]) >= maxRequests {
			return nil, flavors.RuntimeError.Errorf("%d requests wait for the builder %s already; try again later",
				maxRequests, oneLine(name))
		}
	}
	set := &buildSet{}
	for _, name := range names {
		r := &buildRequest{tries: t, user: user, name: name, patch: patch}
		set.requests = append(set.requests, r)
		t.waiting[name] = append(t.waiting[name], r)
	}
	user.used = true
	user.open += len(names)
	t.wake()
	return set, nil
}

// wake wakes all workers that wait for requests. The caller holds the lock.
func (t *tries) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// next waits for a request for the builder. It returns nil when ctx ends.
func (t *tries) next(ctx context.Context, name string) *buildRequest {
	for ctx.Err() == nil {
		r, changed := t.pop(name)
		if r != nil {
			return r
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	return nil
}

func (t *tries) pop(name string) (*buildRequest, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting[name]) == 0 {
		return nil, t.changed
	}
	r := t.waiting[name][0]
	t.waiting[name] = slices.Delete(t.waiting[name], 0, 1)
	return r, nil
}

// begin makes a build of the request and tells the watchers.
func (t *tries) begin(r *buildRequest) *build {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.latest = &build{request: r}
	t.running[r.latest] = true
	r.watchers.each(func(w *flavors.RemoteReference) error { return w.CallRemoteNoAnswer("newbuild", r.latest, r.name) })
	return r.latest
}

// end ends the request, or makes it the next one again if its worker was lost.
func (t *tries) end(r *buildRequest, results int) {
	t.mu.Lock()
	if results == retry {
		t.waiting[r.name] = slices.Insert(t.waiting[r.name], 0, r)
		t.wake()
		t.mu.Unlock()
		return
	}
	r.watchers, r.patch = nil, nil
	r.user.open--
	over := r.user.over()
	t.mu.Unlock()
	if over {
		t.done()
	}
}

// leave is the logout of a user. The requests remain.
func (t *tries) leave(user *tryUser) {
	t.mu.Lock()
	user.left = true
	over := user.over()
	t.mu.Unlock()
	if over {
		t.done()
	}
}

// stop fails the calls that wait for the end of a build. The runtime's end would wait for them.
func (t *tries) stop() {
	t.mu.Lock()
	t.stopped = true
	var waiting []*actor.Deferred
	for b := range t.running {
		waiting = append(waiting, b.waiting...)
		b.waiting = nil
	}
	t.mu.Unlock()
	for _, d := range waiting {
		d.Complete(nil, errStopped)
	}
}

// over reports whether the user has left and all requests have ended. The caller holds the lock.
func (u *tryUser) over() bool { return u.used && u.left && u.open == 0 }

// buildTries builds what is requested of the worker until it has left.
func (a *workerAvatar) buildTries(builder *flavors.RemoteReference) {
	t := a.master.tries
	for r := t.next(a.stay, a.name); r != nil; r = t.next(a.stay, a.name) {
		b := t.begin(r)
		results := a.build(builder, b)
		b.finish(results, resultText(results, a.master.command))
		t.end(r, results)
	}
}

// build runs the steps of a build, whose names are those of stock steps, and returns its result.
func (a *workerAvatar) build(builder *flavors.RemoteReference, b *build) int {
	results := b.step("worker_preparation", func() int {
		_, err := flavors.Call[any](a.stay, builder, "startBuild")
		return a.results(err, 0)
	})
	if results != success {
		return results
	}
	results = b.step("string_download", func() int {
		return a.command(builder, "1", "downloadFile", true, map[string]any{
			"workerdest": patchFile, "workdir": "build", "reader": &patchReader{rest: b.request.patch},
			"blocksize": 32 << 10, "maxsize": nil, "mode": nil,
		})
	})
	if results != success {
		return results
	}
	return b.step("shell", func() int {
		return a.command(builder, "2", "shell", false, shellArguments(a.master.command))
	})
}

// patchFile is the name of the patch in the build directory.
const patchFile = ".try.patch"

// patchReader is read by the worker.
type patchReader struct {
	flavors.Referenceable
	rest []byte
}

// RemoteRead answers the next bytes, at most size of them, and none at the end.
func (p *patchReader) RemoteRead(size int) ([]byte, error) {
	if size <= 0 {
		return nil, flavors.ValueError.Errorf("read: want a positive size, got %d", size)
	}
	n := min(size, len(p.rest), 64<<10)
	block := p.rest[:n]
	p.rest = p.rest[n:]
	return block, nil
}

// RemoteClose does nothing but answer.
func (*patchReader) RemoteClose() {}

// command runs a command on the worker and returns its result.
func (a *workerAvatar) command(builder *flavors.RemoteReference, id, kind string, quiet bool, args any) int {
	type outcome struct {
		err  error
		code int
	}
	done := make(chan outcome, 1)
	r := newReport(a)
	r.quiet = quiet
	r.ended = func(code int, err error) { done <- outcome{err, code} }
	if _, err := flavors.Call[any](a.stay, builder, "startCommand", r, id, kind, args); err != nil {
		r.Do(func() { r.over = true })
		a.master.out.line("%s: cannot start %s: %v", a.name, kind, err)
		return a.results(err, 0)
	}
	select {
	case o := <-done:
		return a.results(o.err, o.code)
	case <-a.stay.Done():
		r.Do(r.lost)
		return retry
	}
}

// results is the result of what a worker did. One that has left is to do it again.
func (a *workerAvatar) results(err error, code int) int {
	switch {
	case err == nil && code == 0:
		return success
	case err == nil:
		return failure
	case a.stay.Err() != nil:
		return retry
	}
	return exception
}

// resultText describes a result as a stock master does.
func resultText(results int, command string) string {
	summary := "''"
	if words := strings.Fields(command); len(words) > 2 {
		summary = fmt.Sprintf("'%s %s ...'", words[0], words[1])
	} else if len(words) > 0 {
		summary = fmt.Sprintf("'%s'", strings.Join(words, " "))
	}
	switch results {
	case success:
		return "build successful"
	case failure:
		return "failed " + summary + " (failure)"
	case retry:
		return "retry lost connection " + summary + " (retry)"
	}
	return "exception " + summary + " (exception)"
}
