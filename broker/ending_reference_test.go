package broker_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// ender ends references, and gives receipts back.
type ender struct {
	flavors.Referenceable
	kept []*flavors.RemoteReference
}

// RemoteEnd ends a reference and gives this one receipt of it back.
func (e *ender) RemoteEnd(ref *flavors.RemoteReference) {
	flavors.EndReference(ref, nil)
	ref.Release()
}

// RemoteKeep keeps a reference, and reports whether it has ended.
func (e *ender) RemoteKeep(ref *flavors.RemoteReference) bool {
	e.kept = append(e.kept, ref)
	return ref.Err() != nil
}

// TestEndedReferenceStaysEnded: a reference that has ended stays so as long as the peer has not got back all receipts.
func TestEndedReferenceStaysEnded(t *testing.T) {
	root := &ender{}
	p := newServer(t, root, broker.WithRelaying()).peer()
	p.Ignore(`[decref 7]`)
	p.Write(`[message 1 "root" "keep" 1 [tuple [remote 7]] [dictionary]]`)
	p.Want(`[answer 1 ["boolean" "false"]]`)
	for range 3 {
		p.Write(`[message 2 "root" "end" 1 [tuple [remote 7]] [dictionary]]`)
		p.Want(`[answer 2 [None]]`)
		p.Write(`[message 3 "root" "keep" 1 [tuple [remote 7]] [dictionary]]`)
		p.Want(`[answer 3 ["boolean" "true"]]`)
	}
	for _, ref := range root.kept[1:] {
		assert.Same(t, root.kept[0], ref)
	}
}

// TestToldAgain: a peer gives back all mentions of an object that it was told to be gone, while another is under way.
// It is told again, because that makes a new reference.
func TestToldAgain(t *testing.T) {
	tell := func(conn *broker.Conn, gone flavors.Gone) {
		_ = flavors.Send(conn.Context(), conn.Root(), "gone", gone)
	}
	_, _, a, b := twoPeers(t, broker.WithOriginEnded(tell))
	leave(a, b, `[remote 5]`, `[remote $luid]`)
	a.Close()
	const gone = `[message _ "root" "gone" 0 [tuple [remote $luid]] _]`
	b.Want(gone)
	for id := range 3 {
		b.Write(fmt.Sprintf(`[message %d "root" "fetch" 1 [tuple ["unicode" "k"]] [dictionary]]`, 2+id))
		b.Want(`[answer _ [remote $luid]]`)
		b.Write(`[decref $luid]`)
		b.WantIdle()
		b.Write(`[decref $luid]`)
		b.Want(gone)
	}
	b.Write(`[decref $luid]`, `[decref $luid]`)
	b.WantIdle()
}
