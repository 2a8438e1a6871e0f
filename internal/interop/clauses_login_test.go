package interop

import (
	"crypto/md5"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/wire"
)

// loginServers admit moe (password "secret") and anonymous users.
func loginServers() []server {
	return []server{
		{"stock", false, func(t *testing.T) string { return Server(t, "--cred", "moe=secret", "--anonymous").Addr() }},
		{"ours", true, func(t *testing.T) string {
			return strings.TrimPrefix(startOurs(t, makeOutfit(t), "tcp", withLogin()...).url, "pb://")
		}},
	}
}

func TestLoginClauses(t *testing.T) {
	for _, server := range loginServers() {
		t.Run(server.name, func(t *testing.T) {
			addr := server.start(t)
			for name, talk := range map[string]func(peer *wire.Peer){
				"P-8.1 P-8.2 a password":       passwordIsAnswered,
				"P-8.3 anonymous":              anonymousIsLetIn,
				"P-8.4 a wrong password":       wrongPasswordIsRefused,
				"P-8.5 the last decref leaves": lastDecrefLogsOut,
				"P-5.2 views come home":        viewsComeHome,
			} {
				t.Run(name, func(t *testing.T) {
					peer := wire.Connect(t, addr)
					peer.Join()
					talk(peer)
				})
			}
		})
	}
}

// login sends the requests up to and including the response.
func login(peer *wire.Peer, password string) {
	peer.Write(message(1, "root", "login", `[tuple "moe"]`))
	peer.Want(`[answer 1 [tuple $challenge [remote $challenger]]]`)
	challenge, _ := peer.Var("challenge").([]byte)
	hashed := md5.Sum([]byte(password))
	response := md5.Sum(append(hashed[:], challenge...))
	peer.Write(message(2, "$challenger", "respond", `[tuple `+strconv.Quote(string(response[:]))+` [None]]`))
}

func passwordIsAnswered(peer *wire.Peer) {
	login(peer, "secret")
	peer.Want(`[answer 2 [remote $avatar]]`)
	peer.Write(message(3, "$avatar", "whoami", `[tuple]`))
	peer.Want(`[answer 3 [unicode moe]]`)
}

// viewsComeHome returns the avatar and views to the server, twice: they keep object and perspective.
func viewsComeHome(peer *wire.Peer) {
	passwordIsAnswered(peer)
	peer.Write(message(4, "$avatar", "viewable", `[tuple]`), message(5, "$avatar", "root", `[tuple]`))
	peer.Want(`[answer 4 [remote $view]]`, `[answer 5 [remote $root]]`)
	for i, home := range []string{"$view", "$avatar"} {
		id := 10 * (i + 1)
		peer.Write(message(id, "$root", "echo", `[tuple [list [local `+home+`]]]`))
		peer.Want(`[answer ` + strconv.Itoa(id) + ` [list [remote ` + home + `]]]`)
		peer.Write(message(id+1, "$root", "hold", `[tuple [unicode key] [local `+home+`]]`))
		peer.Want(`[answer ` + strconv.Itoa(id+1) + ` [None]]`)
		peer.Write(message(id+2, "$root", "held", `[tuple [unicode key]]`))
		peer.Want(`[answer ` + strconv.Itoa(id+2) + ` [remote ` + home + `]]`)
		peer.Write(message(id+3, home, "whoami", `[tuple]`))
		peer.Want(`[answer ` + strconv.Itoa(id+3) + ` [unicode moe]]`)
		peer.Write(message(id+4, "$root", "release", `[tuple [unicode key]]`))
		peer.Want(`[answer ` + strconv.Itoa(id+4) + ` [None]]`)
	}
}

func anonymousIsLetIn(peer *wire.Peer) {
	peer.Write(message(1, "root", "loginAnonymous", `[tuple [None]]`))
	peer.Want(`[answer 1 [remote $avatar]]`)
	peer.Write(message(2, "$avatar", "whoami", `[tuple]`))
	peer.Want(`[answer 2 [unicode anonymous]]`)
}

func wrongPasswordIsRefused(peer *wire.Peer) {
	login(peer, "guess")
	peer.Want(`[error 2 ["twisted.spread.pb.CopyableFailure" $failure]]`)
	wantEntry(peer, "type", "twisted.cred.error.UnauthorizedLogin")
	wantParents(peer, "twisted.cred.error.UnauthorizedLogin", "twisted.cred.error.LoginFailed", "builtins.Exception")
}

func lastDecrefLogsOut(peer *wire.Peer) {
	peer.Write(message(1, "root", "loginAnonymous", `[tuple [None]]`))
	peer.Want(`[answer 1 [remote $first]]`)
	loginsBecome(peer, 1) // Users of the clauses before may be logging out.
	peer.Write(message(3, "root", "loginAnonymous", `[tuple [None]]`))
	peer.Want(`[answer 3 [remote $second]]`)
	loginsBecome(peer, 2)
	peer.Write(`[decref $second]`, message(4, "$second", "whoami", `[tuple]`))
	peer.Want(`[error 4 _]`)
	loginsBecome(peer, 1)
}

// loginsBecome waits until so many users are logged in. A realm's logout may take a while; each question takes a round
// trip.
func loginsBecome(peer *wire.Peer, want int64) {
	for deadline := time.Now().Add(wire.Timeout); peer.Var("now") != want; {
		if time.Now().After(deadline) {
			peer.Fatalf("%v users are logged in, not %d", peer.Var("now"), want)
		}
		peer.Forget("now")
		peer.Write(message(5, "$first", "logins", `[tuple]`))
		peer.Want(`[answer 5 $now]`)
	}
	peer.Forget("now")
}
