package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/freeport"
)

// shop is the root object of the tests.
type shop struct {
	flavors.Root
	begun, goOn chan struct{}
}

func (*shop) RemoteQuick() int { return 1 }
func (*shop) RemoteWaits()     {}

// RemoteSlow lasts until the test lets it go on.
func (s *shop) RemoteSlow() {
	s.begun <- struct{}{}
	<-s.goOn
}

func (*shop) RemoteBreak() { panic("a secret text") }

// program is a program with an inspector.
type program struct {
	t      *testing.T
	rt     *actor.Runtime
	server *inspect.Server
	root   *shop
	url    string
	far    *actor.Runtime
}

func newRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt
}

func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{
		t: t, rt: newRuntime(t), far: newRuntime(t),
		root: &shop{begun: make(chan struct{}), goOn: make(chan struct{})},
	}
	p.url = p.listen(p.root)
	var err error
	p.server, err = inspect.Listen(p.rt, "127.0.0.1:0")
	require.NoError(t, err)
	return p
}

func (p *program) listen(root any) (url string) {
	p.t.Helper()
	ln, err := broker.Listen(p.rt, "pb://127.0.0.1:0", root)
	require.NoError(p.t, err)
	return ln.URL()
}

// dial connects to the program from another one.
func (p *program) dial(url string) *broker.Conn {
	p.t.Helper()
	conn, err := broker.Dial(p.t.Context(), p.far, url)
	require.NoError(p.t, err)
	return conn
}

func (p *program) call(conn *broker.Conn, method string) error {
	_, err := flavors.Call[any](p.t.Context(), conn.Root(), method)
	return err
}

func TestConnectionsComeAndGo(t *testing.T) {
	p := newProgram(t)
	b := open(t, p.server.URL())
	b.waitRow("connections", "no connections")
	b.wait(`document.body.dataset.state === "live"`)
	first, second := p.dial(p.url), p.dial(p.url)
	b.waitRow("connections", "1", "from "+first.LocalAddr().String())
	b.waitRow("connections", "2", "from "+second.LocalAddr().String(), first.Dialect())
	b.wait(`document.querySelectorAll("#connections tbody tr").length === 2`)
	b.wait(`document.querySelector("#t-open dd span").textContent === "2"`)
	require.NoError(t, first.Close(t.Context()))
	b.wait(`document.querySelectorAll("#connections tbody tr").length === 1`)
	b.waitRow("connections", "2")
	b.waitRow("closed", "peer", "1")
	require.NoError(t, second.Close(t.Context()))
	b.waitRow("connections", "no connections")
	b.clean(p.server.URL())
}

func TestSlowMethod(t *testing.T) {
	p := newProgram(t)
	conn := p.dial(p.url)
	began := time.Now()
	for range 20 {
		require.NoError(t, p.call(conn, "quick"))
	}
	quick := time.Since(began)
	b := open(t, p.server.URL(), desktop())
	b.waitRow("methods", "shop.quick", "called here", "20", "0")

	began = time.Now()
	slow := conn.Root().CallRemote("slow")
	<-p.root.begun
	behind := conn.Root().CallRemote("waits")
	b.waitRow("methods", "shop.slow", "called here", "1", "1")
	b.waitRow("objects", "shop", "1", "slow")
	// The method lasts several times longer than all quick ones together, and thus is in a higher bucket.
	b.wait(fmt.Sprintf("Date.now() >= %d", began.Add(8*quick+time.Second).UnixMilli()))
	close(p.root.goOn)
	for _, d := range []*actor.Deferred{slow, behind} {
		_, err := d.Await(t.Context())
		require.NoError(t, err)
	}
	b.waitRow("methods", "shop.slow", "called here", "1", "0")
	const order = `Array.from(document.querySelectorAll("#methods tbody tr"), tr => tr.cells[0].textContent)
		.filter(name => name !== "shop.waits").join(", ")`
	assert.Equal(t, "shop.quick, shop.slow", value[string](b, order), "the most frequent is the first")
	b.click("#slowest")
	b.wait(order + ` === "shop.slow, shop.quick"`)
	assert.Equal(t, "true", value[string](b, `document.querySelector("#slowest").getAttribute("aria-pressed")`))
	assert.Positive(t, value[int](b, `document.querySelectorAll("#methods tbody svg rect").length`))
	b.click("#frequent")
	b.wait(order + ` === "shop.quick, shop.slow"`)
	b.picture("desktop")
	b.clean(p.server.URL())
}

func TestRefusalsAndFailures(t *testing.T) {
	p := newProgram(t)
	conn := p.dial(p.url)
	b := open(t, p.server.URL())
	b.waitRow("refusals", "nothing was refused")
	vault := func() {
		_, err := flavors.Call[any](t.Context(), conn.Published("vault"), "open")
		require.Error(t, err)
	}
	vault()
	b.waitRow("refusals", "unknown object", "1")
	vault()
	b.waitRow("refusals", "unknown object", "2")
	b.wait(`document.querySelector("#t-refused dd span").textContent === "2"`)
	require.Error(t, p.call(conn, "break"))
	require.Error(t, p.call(conn, "no_such_1"))
	require.Error(t, p.call(conn, "no_such_2"))
	b.waitRow("failures", "builtins.RuntimeError", "called here", "shop.break", conn.LocalAddr().String())
	b.waitRow("methods", "(unknown)", "called here", "2")
	b.waitRow("objects", "shop", "1") // one restart
	b.wait(`document.querySelector("#tree").innerText.includes("shop 1 restart")`)
	assert.NotContains(t, value[string](b, "document.documentElement.innerHTML"), "secret text")
	b.clean(p.server.URL())
}

// anything takes methods of any name, and raises exceptions whose types have the same name.
type anything struct{ flavors.Root }

func (*anything) HandleRemote(inv *flavors.Invocation) (any, error) {
	return nil, flavors.NewException(inv.Method).New("a secret text")
}

type user struct{ flavors.Avatar }

func login(t *testing.T, names ...string) *broker.PortalRoot {
	t.Helper()
	entries := map[string]cred.Entry{}
	for _, name := range names {
		entries[name] = cred.Plaintext("sesame")
	}
	users, err := cred.NewInMemory(entries)
	require.NoError(t, err)
	return broker.Login(func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*user, func(), error) {
		return &user{}, nil, nil
	}, users)
}

// hostileNames are names that peers choose.
var hostileNames = []string{
	`<img src=x onerror=alert(1)>`, `</script><script>alert(2)</script>`, `"><svg onload=alert(3)>`, "e\u202evil",
	`javascript:alert(4)`, "${alert(5)}", "data: {}", "__proto__", strings.Repeat("W", 300),
}

func (p *program) hostile() {
	p.t.Helper()
	odd := p.dial(p.listen(&anything{}))
	for _, name := range hostileNames {
		require.Error(p.t, p.call(odd, name))
	}
	users := p.dial(p.listen(login(p.t, hostileNames[:7]...)))
	for _, name := range hostileNames[:7] {
		_, err := users.Login(p.t.Context(), cred.UsernamePassword{Username: name, Password: "sesame"}, nil)
		require.NoError(p.t, err)
	}
}

func TestHostileNames(t *testing.T) {
	p := newProgram(t)
	p.hostile()
	b := open(t, p.server.URL())
	for _, name := range hostileNames {
		name = strings.ReplaceAll(name, "\u202e", `\u202e`)
		if len(name) > 80 {
			name = name[:80] + "…"
		}
		b.waitRow("methods", "anything."+name)
		b.waitRow("failures", name, "called here", "anything."+name)
	}
	b.wait(`document.querySelector("#connections").textContent.includes("<img src=x onerror=alert(1)>")`)
	for _, tag := range []string{"img", "main svg[onload]", "main script", "[onerror]", "main a"} {
		assert.Zero(t, value[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", tag)), tag)
	}
	assert.NotContains(t, value[string](b, "document.body.innerText"), "\u202e")
	b.clean(p.server.URL())
}

// TestNoOtherHost requires that the page cannot ask another host, even if it wanted.
func TestNoOtherHost(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	p := newProgram(t)
	b := open(t, p.server.URL())
	b.wait(`document.body.dataset.state === "live"`)
	b.clean(p.server.URL())
	for _, try := range []string{
		`fetch(%q, {mode: "no-cors"}).then(() => "asked", () => "refused")`,
		`new Promise(done => { const i = new Image(); i.onload = () => done("asked"); i.onerror = () => done("refused");
			i.src = %q + "/x.png"; document.body.append(i); })`,
		`new Promise(done => { const s = document.createElement("script"); s.onload = () => done("asked");
			s.onerror = () => done("refused"); s.src = %q + "/x.js"; document.body.append(s); })`,
	} {
		assert.Equal(t, "refused", value[string](b, fmt.Sprintf(try, other.URL)), try)
	}
	assert.Zero(t, asked.Load())
}

func TestPhone(t *testing.T) {
	p := newProgram(t)
	p.hostile()
	conn := p.dial(p.url)
	require.NoError(t, p.call(conn, "quick"))
	require.Error(t, p.call(conn, "break"))
	for _, name := range []string{"light", "dark"} {
		b := open(t, p.server.URL(), phone(), scheme(name))
		b.waitRow("methods", "shop.quick")
		width := value[[]int](b, "[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
		assert.Equal(t, []int{360, 360}, width, "nothing sticks out sideways")
		// Nothing is cut off either: each cell is inside of the window.
		assert.Empty(t, value[[]string](b, `Array.from(document.querySelectorAll("main *"))
			.filter(e => e.getBoundingClientRect().right > 360.5).map(e => e.outerHTML.slice(0, 200))`))
		b.picture("phone-" + name)
		b.clean(p.server.URL())
	}
}

func TestColours(t *testing.T) {
	p := newProgram(t)
	colours := map[string]bool{}
	for _, name := range []string{"light", "dark"} {
		b := open(t, p.server.URL(), desktop(), scheme(name))
		b.wait(`document.body.dataset.state === "live"`)
		colours[value[string](b, "getComputedStyle(document.documentElement).backgroundColor")] = true
	}
	assert.Len(t, colours, 2)
}

func TestSorting(t *testing.T) {
	p := newProgram(t)
	for range 3 {
		p.dial(p.url)
	}
	b := open(t, p.server.URL())
	b.wait(`document.querySelectorAll("#connections tbody tr").length === 3`)
	numbers := func() string {
		return value[string](b, `Array.from(document.querySelectorAll("#connections tbody tr"),
			tr => tr.cells[0].textContent).join()`)
	}
	assert.Equal(t, "1,2,3", numbers())
	b.click("#connections thead button")
	b.wait(`document.querySelector("#connections thead th").getAttribute("aria-sort") === "descending"`)
	assert.Equal(t, "3,2,1", numbers())
	fourth := p.dial(p.url)
	b.wait(`document.querySelectorAll("#connections tbody tr").length === 4`)
	assert.Equal(t, "4,3,2,1", numbers(), "the order stays")
	require.NoError(t, fourth.Close(t.Context()))
}

// TestManyConnections shows how many are left out.
func TestManyConnections(t *testing.T) {
	p := newProgram(t)
	for range 120 {
		p.dial(p.url)
	}
	b := open(t, p.server.URL(), desktop())
	b.wait(`document.querySelector("#n-connections").textContent === "and 20 more"`)
	assert.Equal(t, 100, value[int](b, `document.querySelectorAll("#connections tbody tr").length`))
	b.wait(`document.querySelector("#tree").innerText.includes("broker × 120")`)
}

func TestServerEndsAndReturns(t *testing.T) {
	p := newProgram(t)
	server, err := inspect.Listen(p.rt, freeport.Address(t))
	require.NoError(t, err)
	b := open(t, server.URL())
	b.wait(`document.body.dataset.state === "live"`)
	address := strings.TrimPrefix(server.URL(), "http://")
	require.NoError(t, server.Close())
	b.wait(`document.body.dataset.state === "lost"`)
	again, err := inspect.Listen(p.rt, address)
	require.NoError(t, err)
	b.wait(`document.body.dataset.state === "live"`)
	require.NoError(t, again.Close())
}

// noDeadlines hides what limits the time of writes, as some middleware does.
type noDeadlines struct{ http.ResponseWriter }

// TestWithoutStreaming has the page ask again and again instead.
func TestWithoutStreaming(t *testing.T) {
	p := newProgram(t)
	h := http.StripPrefix("/debug/pb", inspect.Handler(p.rt))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(noDeadlines{w}, r)
	}))
	defer web.Close()
	b := open(t, web.URL+"/debug/pb/")
	b.waitRow("connections", "no connections")
	p.dial(p.url)
	b.waitRow("connections", "1")
}
