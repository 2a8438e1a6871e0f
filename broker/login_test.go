package broker_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

func TestLoginDance(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	p := s.peer()
	t.Run("P-8.1 P-8.2 challenge and response", func(t *testing.T) {
		enter(p, 1, "alice", "sesame")
		p.Write(`[message 3 $avatar "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 [unicode alice]]`)
	})
	t.Run("name as bytes or text", func(t *testing.T) {
		p.Forget("challenge")
		p.Forget("challenger")
		p.Write(`[message 4 "root" "login" 1 [tuple [unicode bob]] [dictionary]]`)
		p.Want(`[answer 4 [tuple $challenge [remote $challenger]]]`)
		respond(p, 5, "bread", `[None]`)
		p.Want(`[answer 5 [remote $bob]]`)
		p.Write(`[message 6 $bob "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 6 [unicode bob]]`)
	})
	t.Run("P-8.3 anonymous", func(t *testing.T) {
		p.Write(`[message 7 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
		p.Want(`[answer 7 [remote $nobody]]`)
		p.Write(`[message 8 $nobody "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 8 [unicode "(anonymous)"]]`)
	})
	t.Run("P-8.5 release logs out this user only", func(t *testing.T) {
		require.EqualValues(t, 3, h.inside())
		p.Write(`[decref $bob]`, `[message 9 $bob "whoami" 1 [tuple] [dictionary]]`)
		wantError(t, p, 9, "twisted.spread.pb.Error")
		require.Eventually(t, func() bool { return h.inside() == 2 }, patience, tick)
		p.Write(`[message 10 $avatar "whoami" 1 [tuple] [dictionary]]`)
		p.Want(`[answer 10 [unicode alice]]`)
	})
	t.Run("P-8.5 the connection's end logs out the rest", func(t *testing.T) {
		p.Close()
		h.wantEmpty(t)
		require.EqualValues(t, 3, h.out.Load())
	})
}

// TestRefusedLoginsLookAlike (P-8.4, P-8.7): what is refused, and why, must not be told by the answer.
func TestRefusedLoginsLookAlike(t *testing.T) {
	h := &house{}
	p := h.serve(t).peer()
	answers := map[string]string{}
	challenged(p, 1, "alice")
	respond(p, 2, "guess", `[None]`)
	answers["a wrong password"] = wantRefused(t, p, 2)
	respond(p, 3, "sesame", `[None]`)
	answers["a second response to the same challenge"] = wantRefused(t, p, 3)
	for i, user := range []string{"nobody", "", "a\x00b", string(make([]byte, 5000)), "bob"} {
		challenged(p, 10*(i+1), user)
		respond(p, 10*(i+1)+1, "sesame", `[None]`)
		answers[fmt.Sprintf("the user %.10q", user)] = wantRefused(t, p, 10*(i+1)+1)
	}
	challenged(p, 100, "alice")
	for i, response := range []string{`""`, `"x"`, fmt.Sprintf("%q", make([]byte, 5000))} {
		p.Write(fmt.Sprintf(`[message %d $challenger "respond" 1 [tuple %s [None]] [dictionary]]`, 101+i, response))
		answers["the response "+response[:2]] = wantRefused(t, p, 101+i)
	}
	for name, answer := range answers {
		require.Equal(t, answers["a wrong password"], answer, name)
		require.NotContains(t, answer, "alice")
	}
	require.Zero(t, h.in.Load())
}

func TestFailingRealmTellsNothing(t *testing.T) {
	for name, receive := range map[string]receiver{
		"an error": refuseWith(errPlain),
		"a panic":  panicWith("secret"),
	} {
		t.Run(name, func(t *testing.T) {
			p := (&house{receive: receive}).serve(t).peer()
			challenged(p, 1, "alice")
			respond(p, 2, "sesame", `[None]`)
			failure := wantRefused(t, p, 2)
			require.NotContains(t, failure, errPlain.Error())
			require.NotContains(t, failure, "secret")
		})
	}
}

func TestGarbageInLogins(t *testing.T) {
	h := &house{}
	p := h.serve(t).peer()
	challenged(p, 1, "alice")
	request := 10
	for _, bad := range []string{
		`"root" "login" 1 [tuple]`,
		`"root" "login" 1 [tuple alice sesame]`,
		`"root" "login" 1 [tuple 7]`,
		`"root" "login" 1 [tuple [None]]`,
		`"root" "login" 1 [tuple [list alice]]`,
		`"root" "loginAnonymous" 1 [tuple]`,
		`"root" "loginAnonymous" 1 [tuple 7]`,
		`"root" "loginAnonymous" 1 [tuple [unicode mind]]`,
		`"root" "loginAnonymous" 1 [tuple [local $challenger]]`,
		`$challenger "respond" 1 [tuple]`,
		`$challenger "respond" 1 [tuple 7 [None]]`,
		`$challenger "respond" 1 [tuple [None] 7]`,
		`$challenger "respond" 1 [tuple [dictionary] [None]]`,
		`$challenger "respond" 1 [tuple x [list]]`,
		`"root" "loginPassword" 1 [tuple alice sesame [None]]`,
		`"root" "loginCertificate" 1 [tuple [None]]`,
		`"root" "loginPeer" 1 [tuple [None]]`,
	} {
		request++
		p.Write(fmt.Sprintf(`[message %d %s [dictionary]]`, request, bad))
		wantAnyError(p, request)
	}
	respond(p, 100, "sesame", `[None]`) // None of it used the challenge up.
	p.Want(`[answer 100 [remote _]]`)
	require.EqualValues(t, 1, h.in.Load())
}

func TestNoAccessBeforeLogin(t *testing.T) {
	h := &house{}
	s := h.serve(t)
	p, other := s.peer(), s.peer()
	enter(p, 1, "alice", "sesame")
	other.Write(`[message 1 "root" "whoami" 1 [tuple] [dictionary]]`)
	wantError(t, other, 1, "twisted.spread.flavors.NoSuchMethod")
	for i, luid := range []string{"0", "1", "2", "3", "-1", "99999999999999999999", `"avatar"`, `"alice"`} {
		other.Write(fmt.Sprintf(`[message %d %s "whoami" 1 [tuple] [dictionary]]`, 10+i, luid))
		wantError(t, other, 10+i, "twisted.spread.pb.Error")
	}
	// One's own challenger is there, and is no avatar.
	challenged(other, 30, "alice")
	other.Write(`[message 32 $challenger "whoami" 1 [tuple] [dictionary]]`)
	wantError(t, other, 32, "twisted.spread.flavors.NoSuchMethod")
	p.Write(`[message 3 $avatar "whoami" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [unicode alice]]`)
}

// TestLoginMethodsWithoutTLS is one half of P-8.9; those of TLS and Unix sockets are the other.
func TestLoginMethodsWithoutTLS(t *testing.T) {
	p := (&house{}).serve(t).peer()
	p.Write(`[message 1 "root" "loginMethods" 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [list [unicode login] [unicode loginAnonymous]]]`)
	p.Write(`[message 2 "root" "loginPassword" 1 [tuple alice sesame [None]] [dictionary]]`)
	require.Contains(t, wantError(t, p, 2, "twisted.spread.flavors.NoSuchMethod"), "remote_loginPassword")
}

func TestAvatarNotSentInMessages(t *testing.T) {
	s := newServer(t, &giver{})
	p := s.peer()
	p.Write(`[message 1 "root" "avatar" 1 [tuple] [dictionary]]`)
	require.Contains(t, wantError(t, p, 1, "twisted.spread.jelly.InsecureJelly"), "ViewPoint")
}

// giver gives out what it should not.
type giver struct{ flavors.Root }

func (*giver) RemoteAvatar() *player { return &player{} }

func TestRealmReturnsUnsendable(t *testing.T) {
	out := 0
	s := newServer(t, broker.LoginRoot(stringPortal(t, &out), unhurried()))
	p := s.peer()
	p.Write(`[message 1 "root" "loginAnonymous" 1 [tuple [None]] [dictionary]]`)
	wantRefused(t, p, 1)
	require.Equal(t, 1, out, "the realm has let somebody in, and hears that he is not")
}
