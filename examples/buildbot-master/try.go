package main

import (
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Results of builds and steps, as Buildbot numbers them.
const (
	success   = 0
	failure   = 2
	exception = 4
	retry     = 5
)

// Limits of what a user may leave with the master.
const (
	// maxRequests limits the requests that wait for one worker.
	maxRequests = 100
	// maxWatchers limits the watchers of one request or build.
	maxWatchers = 16
)

// tryUser is the avatar of a user of "buildbot try". It has no mind.
type tryUser struct {
	flavors.Avatar
	tries *tries
	out   printer

	// Guarded by the lock of tries.
	open int  // requests that have not ended
	used bool // has made a request
	left bool // has logged out
}

// PublishMethods gives try the defaults that it has in Buildbot.
func (*tryUser) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("try", "PerspectiveTry", "branch", "revision", "patch", "repository",
		"project", "builderNames", "who=None", "comment=None", "properties=None"))
}

// PerspectiveGetAvailableBuilderNames answers the names of the builders, which are those of the workers.
func (u *tryUser) PerspectiveGetAvailableBuilderNames() []string { return u.tries.names }

// PerspectiveTry requests a build of the patch on each of the builders, or on all if none is named. It answers None if
// one of the names is unknown. The stock client sends None for options that were not given, and bytes for some texts.
func (u *tryUser) PerspectiveTry(
	branch, revision, patch, repository, project, builderNames, who, comment, _ any,
) (any, error) {
	var names []string
	if err := optional(&names, "builderNames", builderNames); err != nil {
		return nil, err
	}
	text := map[string]string{}
	for _, arg := range []struct {
		name  string
		value any
	}{
		{"branch", branch}, {"revision", revision}, {"repository", repository}, {"project", project},
		{"who", who}, {"comment", comment},
	} {
		var s string
		if err := optional(&s, arg.name, arg.value); err != nil {
			return nil, err
		}
		text[arg.name] = s
	}
	body, err := patchBody(patch)
	if err != nil {
		return nil, err
	}
	if names = u.tries.choose(names); len(names) == 0 {
		return nil, nil
	}
	set, err := u.tries.add(u, names, body)
	if err != nil {
		return nil, err
	}
	u.out.line("try: %s: %s: %s", oneLine(text["who"]), oneLine(text["comment"]), oneLine(strings.Join(names, " ")))
	return set, nil
}

// optional assigns an argument unless it is None.
func optional(dst any, name string, value any) error {
	if value == nil {
		return nil
	}
	if err := jelly.Assign(dst, value); err != nil {
		return flavors.TypeError.Errorf("try, %s: %w", name, err)
	}
	return nil
}

// patchBody returns the bytes of a patch, a pair of its level and its body. The client sends None for an empty body,
// and text for one that it has read from its standard input. None for the pair is an empty patch too.
func patchBody(patch any) ([]byte, error) {
	if patch == nil {
		return nil, nil
	}
	var pair []any
	if err := optional(&pair, "patch", patch); err != nil {
		return nil, err
	}
	if len(pair) != 2 {
		return nil, flavors.TypeError.Errorf("try, patch: want a pair of the level and the body, got %d elements",
			len(pair))
	}
	var level int
	if err := optional(&level, "patch, level", pair[0]); err != nil {
		return nil, err
	}
	var body []byte
	if err := optional(&body, "patch, body", pair[1]); err != nil {
		return nil, err
	}
	return body, nil
}

// buildSet is what a try is answered with.
type buildSet struct {
	flavors.Referenceable
	requests []*buildRequest
}

// RemoteGetBuildRequests answers pairs of a builder's name and its request.
func (s *buildSet) RemoteGetBuildRequests() []jelly.Tuple {
	pairs := make([]jelly.Tuple, len(s.requests))
	for i, r := range s.requests {
		pairs[i] = jelly.Tuple{r.name, r}
	}
	return pairs
}

// buildRequest is the wish to have a patch built by one builder. A build whose worker is lost is followed by another.
type buildRequest struct {
	flavors.Referenceable
	tries *tries
	user  *tryUser
	name  string
	patch []byte

	// Guarded by the lock of tries.
	watchers watchers
	latest   *build
}

// RemoteSubscribe tells the watcher of the latest build, and of later ones.
func (r *buildRequest) RemoteSubscribe(watcher *flavors.RemoteReference) error {
	r.tries.mu.Lock()
	defer r.tries.mu.Unlock()
	added, err := r.watchers.add(watcher)
	if err != nil {
		return err
	}
	if added && r.latest != nil {
		return watcher.CallRemoteNoAnswer("newbuild", r.latest, r.name)
	}
	return nil
}

// RemoteUnsubscribe ends what RemoteSubscribe began.
func (r *buildRequest) RemoteUnsubscribe(watcher *flavors.RemoteReference) {
	r.tries.mu.Lock()
	defer r.tries.mu.Unlock()
	r.watchers.remove(watcher)
}

// build is one run of the command with a patch.
type build struct {
	flavors.Referenceable
	request *buildRequest

	// Guarded by the lock of tries.
	watchers watchers
	events   []stepEvent
	waiting  []*actor.Deferred
	finished bool
	results  int
	text     string
}

// stepEvent is the start of a step, or its end with a result.
type stepEvent struct {
	step    string
	ended   bool
	results int
}

// RemoteSubscribe tells the watcher of every step of the build. A stock master leaves out the steps before the
// subscription, so that its clients miss the first ones. The interval of reports about the remaining time is unused:
// stock masters do not send them any more.
func (b *build) RemoteSubscribe(watcher *flavors.RemoteReference, _ any) error {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	added, err := b.watchers.add(watcher)
	if err != nil || !added {
		return err
	}
	for _, e := range b.events {
		if err := b.tell(watcher, e); err != nil {
			return err
		}
	}
	return nil
}

// RemoteUnsubscribe ends what RemoteSubscribe began.
func (b *build) RemoteUnsubscribe(watcher *flavors.RemoteReference) {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	b.watchers.remove(watcher)
}

// RemoteWaitUntilFinished answers the build itself when it has finished.
func (b *build) RemoteWaitUntilFinished(inv *flavors.Invocation) any {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	if b.finished {
		return b
	}
	d := actor.NewDeferred(inv.Conn().Runtime())
	if b.request.tries.stopped {
		d.Complete(nil, errStopped)
		return d
	}
	b.waiting = append(b.waiting, d)
	return d
}

// RemoteGetResults answers the result's number, or None while the build is running.
func (b *build) RemoteGetResults() any {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	if !b.finished {
		return nil
	}
	return b.results
}

// RemoteGetText answers the result in words.
func (b *build) RemoteGetText() []string {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	if !b.finished {
		return []string{"building"}
	}
	return []string{b.text}
}

// tell tells a watcher about a step. The caller holds the lock.
func (b *build) tell(watcher *flavors.RemoteReference, e stepEvent) error {
	if e.ended {
		return watcher.CallRemoteNoAnswer("stepFinished", b.request.name, b, e.step, nil, e.results)
	}
	return watcher.CallRemoteNoAnswer("stepStarted", b.request.name, b, e.step, nil)
}

// step reports a step to all watchers, runs it, and reports its end.
func (b *build) step(name string, run func() int) int {
	b.report(stepEvent{step: name})
	results := run()
	b.report(stepEvent{step: name, ended: true, results: results})
	return results
}

func (b *build) report(e stepEvent) {
	b.request.tries.mu.Lock()
	defer b.request.tries.mu.Unlock()
	b.events = append(b.events, e)
	b.watchers.each(func(w *flavors.RemoteReference) error { return b.tell(w, e) })
}

// finish ends the build.
func (b *build) finish(results int, text string) {
	t := b.request.tries
	t.mu.Lock()
	b.finished, b.results, b.text = true, results, text
	waiting := b.waiting
	b.waiting, b.watchers = nil, nil
	delete(t.running, b)
	t.mu.Unlock()
	for _, d := range waiting {
		d.Complete(b, nil)
	}
}

// watchers are objects of clients that are told about builds.
type watchers []*flavors.RemoteReference

// add appends a watcher, and reports whether it is new. Watchers whose connection has ended are removed first.
func (w *watchers) add(watcher *flavors.RemoteReference) (added bool, err error) {
	*w = slices.DeleteFunc(*w, func(old *flavors.RemoteReference) bool { return old.Err() != nil })
	switch {
	case watcher == nil:
		return false, flavors.TypeError.New("subscribe: the watcher is None")
	case slices.Contains(*w, watcher):
		return false, nil
	case len(*w) >= maxWatchers:
		return false, flavors.ValueError.Errorf("subscribe: there are %d watchers already", maxWatchers)
	}
	*w = append(*w, watcher)
	return true, nil
}

func (w *watchers) remove(watcher *flavors.RemoteReference) {
	*w = slices.DeleteFunc(*w, func(old *flavors.RemoteReference) bool { return old == watcher })
}

// each calls f with every watcher, and removes those for which it fails.
func (w *watchers) each(f func(*flavors.RemoteReference) error) {
	*w = slices.DeleteFunc(*w, func(watcher *flavors.RemoteReference) bool { return f(watcher) != nil })
}
