package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
)

// kindOfRooms is the kind of which rooms are.
const kindOfRooms = "room"

// Limits of a node, so that users cannot make it take all memory.
const (
	// maxRooms is how many rooms live on a node.
	maxRooms = 20_000
	// maxMembers is how many members a room has.
	maxMembers = 10_000
)

// rooms are those that live on this node.
type rooms struct {
	node   string
	log    zerolog.Logger
	opened atomic.Int64 // since the program started
	alive  atomic.Int64
	boards boards
}

// open is the factory of the kind. A room begins without a value and without members.
func (h *rooms) open(p cluster.Placement) (*room, error) {
	if h.alive.Add(1) > maxRooms {
		h.alive.Add(-1)
		return nil, flavors.PBError.Errorf("there are %d rooms on the node %s already", maxRooms, h.node)
	}
	r := &room{home: h, place: p, life: h.opened.Add(1), board: &board{all: &h.boards}}
	r.logEvent().Msg("room opened")
	context.AfterFunc(p.Context, func() {
		h.alive.Add(-1)
		r.board.discard()
		r.logEvent().Msg("room closed")
	})
	return r, nil
}

// room is a placed object. It is a Viewable, so its methods know who calls. One runs at a time.
type room struct {
	flavors.Viewable
	home  *rooms
	place cluster.Placement
	life  int64 // tells the activations in the log of one process apart

	value   int64
	members []member
	board   *board
}

// member is an object of a user that has joined, at whatever gateway the user is, or a placed object.
type member struct {
	ref    flavors.Callee
	forget func() bool
}

// PublishMethods names the parameter of incr, and gives it its default.
func (*room) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("id", "ViewID"), flavors.Publish("incr", "ViewIncr", "n=1"))
}

func (r *room) logEvent() *zerolog.Event {
	return r.home.log.Debug().Str("room", r.place.ID).Int64("token", r.place.Token).Int64("life", r.life)
}

// ViewID returns the name of the room.
func (r *room) ViewID(cluster.User) string { return r.place.ID }

// ViewNode returns the name of the node on which the room lives.
func (r *room) ViewNode(cluster.User) string { return r.home.node }

// ViewIncr adds n to the room's value and returns the sum, which has at most 64 bits.
func (r *room) ViewIncr(_ cluster.User, n int64) (int64, error) {
	sum := r.value + n
	if (sum > r.value) != (n > 0) {
		return 0, flavors.ValueError.Errorf("%d and %d make more than 64 bits", r.value, n)
	}
	r.value = sum
	r.logEvent().Int64("by", n).Int64("value", r.value).Msg("room incremented")
	return r.value, nil
}

// ViewValue returns the room's value.
func (r *room) ViewValue(cluster.User) int64 { return r.value }

// ViewJoin adds a member. One that has joined stays once.
func (r *room) ViewJoin(_ cluster.User, ref flavors.Callee) error {
	switch {
	case ref == nil:
		return flavors.ValueError.New("a member is a reference, not None")
	case r.indexOf(ref) >= 0:
		release(ref)
		return nil
	case len(r.members) >= maxMembers:
		release(ref)
		return flavors.PBError.Errorf("the room has %d members already", maxMembers)
	}
	forget := func() bool { return false } // A placed object stays good.
	if ref, ok := ref.(*flavors.RemoteReference); ok {
		forget = ref.NotifyOnDisconnect(func(error) { r.Do(func() { r.remove(ref) }) })
	}
	r.members = append(r.members, member{ref, forget})
	return nil
}

// ViewLeave removes a member. It is no error if there is no such.
func (r *room) ViewLeave(_ cluster.User, ref flavors.Callee) {
	r.remove(ref)
	release(ref)
}

func (r *room) indexOf(ref flavors.Callee) int {
	return slices.IndexFunc(r.members, func(m member) bool { return m.ref == ref })
}

func (r *room) remove(ref flavors.Callee) {
	if i := r.indexOf(ref); i >= 0 {
		r.members[i].forget()
		release(r.members[i].ref)
		r.members = slices.Delete(r.members, i, i+1)
	}
}

// release gives a reference that a method was given back to its user. Otherwise the garbage collector does so at some
// time, and users hand out a limited number of objects.
func release(ref flavors.Callee) {
	if ref, ok := ref.(*flavors.RemoteReference); ok {
		ref.Release()
	}
}

// ViewMembers returns what has joined.
func (r *room) ViewMembers(cluster.User) []flavors.Callee {
	members := make([]flavors.Callee, len(r.members))
	for i, m := range r.members {
		members[i] = m.ref
	}
	return members
}

// ViewSay writes a text on the board, tells it to the members, and returns how many members it was sent to. A member
// who hears it finds it on the board.
func (r *room) ViewSay(caller cluster.User, text string) (int, error) {
	if _, err := r.board.add(text).Await(r.place.Context); err != nil {
		return 0, err
	}
	sent := 0
	for _, m := range r.members {
		if m.tell("heard", caller.Name, text) == nil {
			sent++
		}
	}
	return sent, nil
}

// tell calls a member and wants no answer.
func (m member) tell(method string, args ...any) error {
	if ref, ok := m.ref.(*flavors.RemoteReference); ok {
		return ref.CallRemoteNoAnswer(method, args...)
	}
	m.ref.CallRemote(method, args...)
	return nil
}

// ViewBoard returns the board, of which the user gets a copy that follows it.
func (r *room) ViewBoard(cluster.User) *board { return r.board }

// ViewSlow keeps the room busy for some milliseconds, or until its caller has gone: other calls to it wait.
func (r *room) ViewSlow(ctx context.Context, _ cluster.User, ms int64) {
	busy := time.NewTimer(time.Duration(max(0, min(ms, maxSlow.Milliseconds()))) * time.Millisecond)
	defer busy.Stop()
	select {
	case <-busy.C:
	case <-ctx.Done():
	case <-r.place.Context.Done():
	}
}

// maxSlow is how long a call of slow may take.
const maxSlow = time.Hour

// ViewEcho returns its argument, which is not decoded here: so it may be a copy of any class.
func (r *room) ViewEcho(_ cluster.User, x *flavors.Relayed) *flavors.Relayed { return x }
