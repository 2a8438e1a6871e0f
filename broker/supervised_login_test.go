package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// loginRealm is a checker and a realm in one, either of which may fail, and so may the logout.
type loginRealm struct {
	check, enter, leave atomic.Pointer[func()]
	left                atomic.Int64
}

const busy = "perspectivebroker.Busy"

func run(f *atomic.Pointer[func()]) {
	if fail := f.Load(); fail != nil {
		(*fail)()
	}
}

func (*loginRealm) Accepts(kind cred.Kind) bool { return kind == cred.KindAnonymous }

func (d *loginRealm) Check(context.Context, cred.Credentials) (cred.AvatarID, error) {
	run(&d.check)
	return cred.ID("somebody"), nil
}

func (d *loginRealm) RequestAvatar(context.Context, cred.AvatarID, *flavors.RemoteReference) (*player, func(), error) {
	run(&d.enter)
	return &player{name: "somebody"}, func() {
		d.left.Add(1)
		run(&d.leave)
	}, nil
}

// TestALoginThatFails: whatever fails, the peer is refused in the usual words, nothing is counted any more, and the
// next one gets in.
func TestALoginThatFails(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		d := &loginRealm{}
		portal, err := cred.NewPortal(d, d)
		require.NoError(t, err)
		// What is not counted back would keep the next one out.
		p := newServer(t, broker.LoginRoot(portal, unhurried(), broker.WithLoginsAtOnce(1), broker.WithSessions(1))).peer()
		for _, part := range []*atomic.Pointer[func()]{&d.check, &d.enter, &d.check, &d.enter} {
			part.Store(&fail)
			p.Write(`[message 1 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
			wantRefused(t, p, 1)
			part.Store(nil)
		}
		for i := range int64(5) {
			d.leave.Store(&fail)
			answer := busy
			for deadline := time.Now().Add(patience); strings.Contains(answer, busy) && time.Now().Before(deadline); {
				p.Forget("answer") // A user who has just left is counted for a moment longer.
				p.Write(`[message 2 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
				p.Want(`$answer`)
				answer = banana.Format(p.Var("answer"))
			}
			require.Contains(t, answer, "answer")
			p.Write(fmt.Sprintf(`[decref %v]`, p.Var("answer").([]any)[2].([]any)[1]))
			require.Eventually(t, func() bool { return d.left.Load() == i+1 }, patience, tick)
		}
	})
}
