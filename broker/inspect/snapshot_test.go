package inspect

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

func TestSnapshot(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	s := newShop()
	dial := serve(t, rt, s)
	h := Handler(rt)
	conn := dial()
	_, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	for _, method := range []string{"fail", "break", "no_such_1", "no_such_2"} {
		_, err = flavors.Call[any](t.Context(), conn.Root(), method)
		require.Error(t, err)
	}
	_, err = flavors.Call[any](t.Context(), conn.Published("vault"), "open")
	require.Error(t, err)
	waiting := conn.Root().CallRemote("wait")
	<-s.begun
	behind := conn.Root().CallRemote("add", 3, 4)
	pbtest.Eventually(t, func() bool {
		o := snapshotOf(t, h).Objects
		return len(o) == 1 && o[0].Mailbox == 1
	})

	n := snapshotOf(t, h)
	assert.Equal(t, 1, n.Totals.Open)
	assert.EqualValues(t, 1, n.Totals.Accepted)
	assert.Equal(t, Calls{Made: 8, Answered: 1, Failed: 5, Pending: 2}, n.Totals.CallsIn)
	assert.Equal(t, []Count{{"unknown object", 1}}, n.Refusals)
	assert.Empty(t, n.Closed)
	assert.Positive(t, n.Goroutines)
	assert.Positive(t, n.Memory)

	require.Len(t, n.Connections, 1)
	c := n.Connections[0]
	assert.EqualValues(t, 1, c.Number)
	assert.Equal(t, "open", c.State)
	assert.Equal(t, conn.Dialect(), c.Dialect)
	assert.Equal(t, n.Totals.CallsIn, c.CallsIn)
	assert.Equal(t, []string{}, c.Users)
	assert.Positive(t, c.BytesIn)
	assert.Positive(t, c.Rate)
	assert.EqualValues(t, 1, c.Refused)

	require.Len(t, n.Objects, 1)
	o := n.Objects[0]
	assert.Equal(t, Object{
		Actor: o.Actor, Type: "shop", Mailbox: 1, Running: "wait", Restarts: 1, Holders: o.Holders,
	}, o)
	assert.Equal(t, "pb", n.Tree.Name)
	names := []string{}
	for _, b := range n.Tree.Below {
		names = append(names, b.Name)
	}
	assert.Equal(t, []string{"listeners", "dialers", "objects", "caches"}, names)
	assert.Equal(t, []Actors{
		{Name: "acceptor", Detail: "pb://pipe", Count: 1, Below: []Actors{{Name: "broker", Count: 1}}},
	}, n.Tree.Below[0].Below)
	assert.Equal(t, []Actors{{Name: "shop", Count: 1, Restarts: 1}}, n.Tree.Below[2].Below)

	methods := map[string]Method{}
	for _, m := range n.Methods {
		methods[m.Type+"."+m.Method] = m
	}
	assert.EqualValues(t, 2, methods["."+broker.UnknownMethod].Failed, "methods that do not exist share an entry")
	assert.EqualValues(t, 1, methods["shop.fail"].Failed)
	assert.Equal(t, 1, methods["shop.wait"].Pending)
	add := methods["shop.add"]
	assert.EqualValues(t, 1, add.Answered)
	assert.Positive(t, add.P99)
	assert.Len(t, add.Latency, len(n.LatencyBounds)+1)
	assert.True(t, add.Incoming)

	require.Len(t, n.Failures, 4)
	last := n.Failures[0]
	assert.Equal(t, Failure{
		Time: last.Time, Incoming: true, Method: broker.UnknownMethod, Peer: c.Peer,
		Exception: "twisted.spread.flavors.NoSuchMethod",
	}, last)
	_, _, body := get(t, h, "/json")
	assert.NotContains(t, body, "secret")

	close(s.goOn)
	for _, d := range []*actor.Deferred{waiting, behind} {
		_, err = pbtest.Result(t, d)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close(t.Context()))
	pbtest.Eventually(t, func() bool { return snapshotOf(t, h).Totals.Open == 0 })
	n = snapshotOf(t, h)
	assert.Empty(t, n.Connections)
	assert.Equal(t, []Count{{"peer", 1}}, n.Closed)
}

func TestDialedConnections(t *testing.T) {
	near, far := pbtest.NewRuntime(t), pbtest.NewRuntime(t)
	ln, err := broker.Listen(far, "pb://127.0.0.1:0", newShop())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), near, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	n := snapshotOf(t, Handler(near))
	require.Len(t, n.Connections, 1)
	assert.True(t, n.Connections[0].Dialed)
	assert.Equal(t, ln.Addr().String(), n.Connections[0].Peer)
	assert.Equal(t, []Actors{
		{Name: "dialer", Count: 1, Below: []Actors{{Name: "broker", Count: 1}}},
	}, n.Tree.Below[1].Below)
	require.Len(t, n.Methods, 1)
	assert.False(t, n.Methods[0].Incoming)
	assert.EqualValues(t, 1, n.Totals.CallsOut.Answered)
}

func TestUsers(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	names := []string{"zoe", "<b>bold</b>", "e\u202ecilA", strings.Repeat("x", 200)}
	for i := range maxUsers {
		names = append(names, "user "+string(rune('a'+i)))
	}
	conn := serve(t, rt, logins(t, names...))()
	for range 2 { // Another login does not list a user twice.
		for _, name := range names {
			_, err := conn.Login(t.Context(), cred.UsernamePassword{Username: name, Password: "sesame"}, nil)
			require.NoError(t, err)
		}
	}
	c := snapshotOf(t, Handler(rt)).Connections[0]
	require.Len(t, c.Users, maxUsers)
	assert.Equal(t, len(names)-maxUsers, c.MoreUsers)
	assert.Equal(t, []string{"<b>bold</b>", `e\u202ecilA`}, c.Users[:2])
}

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"":                       "",
		"plain":                  "plain",
		"Grüße 日本":               "Grüße 日本",
		"a\x1b[31m\n\x00":        `a\x1b[31m\x0a\x00`,
		"e\u202evil \U000e0041":  `e\u202evil \U000e0041`,
		`back\slash`:             `back\\slash`,
		"\xff\xfe":               `\xff\xfe`,
		"\ufffd":                 "\ufffd",
		strings.Repeat("é", 500): strings.Repeat("é", maxName) + "…",
		strings.Repeat("e", 500): strings.Repeat("e", maxName) + "…",
	} {
		assert.Equal(t, want, clean(s))
	}
}

// TestRates needs a clock that stands still between calls.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		pipes := broker.NewPipeListener()
		_, err = broker.ListenOn(rt, pipes, newShop())
		require.NoError(t, err)
		sock, err := pipes.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), rt, sock)
		require.NoError(t, err)
		add := func(n int) {
			for range n {
				_, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
				require.NoError(t, err)
			}
		}
		h := Handler(rt)
		add(30)
		time.Sleep(10 * time.Second)
		n := snapshotOf(t, h)
		assert.InDelta(t, 3, n.Connections[0].Rate, 1e-9, "the average since the connection began")
		add(10)
		time.Sleep(2 * time.Second)
		n = snapshotOf(t, h)
		assert.InDelta(t, 2, n.Window, 1e-9)
		assert.InDelta(t, 5, n.Totals.RateIn, 1e-9)
		assert.InDelta(t, 5, n.Totals.RateOut, 1e-9)
		assert.InDelta(t, 5, n.Connections[0].Rate, 1e-9)
		assert.InDelta(t, 5, n.Methods[0].Rate, 1e-9)
		assert.Positive(t, n.Totals.BytesRateIn)
		add(100)
		time.Sleep(100 * time.Millisecond)
		n = snapshotOf(t, h)
		assert.InDelta(t, 5, n.Totals.RateIn, 1e-9, "rates are not computed over short times")
		assert.EqualValues(t, 140, n.Totals.CallsIn.Made)
		time.Sleep(1900 * time.Millisecond)
		assert.InDelta(t, 50, snapshotOf(t, h).Totals.RateIn, 1e-9)
		conn.Abort(nil)
		require.NoError(t, rt.Close(t.Context()))
	})
}

// TestBounds shows the busiest of many connections.
func TestBounds(t *testing.T) {
	const many = maxConnections + 30
	rt := pbtest.NewRuntime(t)
	dial := serve(t, rt, newShop())
	for range many - 1 {
		dial()
	}
	busy := dial()
	for range 20 {
		_, err := flavors.Call[int](t.Context(), busy.Root(), "add", 1, 2)
		require.NoError(t, err)
	}
	first := broker.ConnsOf(rt)
	slices.SortFunc(first, func(a, b *broker.Conn) int { return int(a.Info().Number) - int(b.Info().Number) })
	h := Handler(rt)
	n := snapshotOf(t, h)
	require.Len(t, n.Connections, maxConnections)
	assert.Equal(t, many-maxConnections, n.MoreConnections)
	assert.Equal(t, []Actors{{Name: "broker", Count: many}}, n.Tree.Below[0].Below[0].Below)
	assert.EqualValues(t, many, n.Connections[maxConnections-1].Number, "the busiest is among them")
	assert.True(t, slices.IsSortedFunc(n.Connections, func(a, b Connection) int { return int(a.Number) - int(b.Number) }))
}

func TestManyObjects(t *testing.T) {
	const many = maxObjects + 20
	rt := pbtest.NewRuntime(t)
	dial := serve(t, rt, &maker{})
	conn := dial()
	for range many {
		thing, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "make")
		require.NoError(t, err)
		defer thing.Release()
		_, err = flavors.Call[int](t.Context(), thing, "add", 1, 2)
		require.NoError(t, err)
	}
	n := snapshotOf(t, Handler(rt))
	require.Len(t, n.Objects, maxObjects)
	assert.Equal(t, many+1-maxObjects, n.MoreObjects)
	assert.Equal(t, []Actors{{Name: "thing", Count: many}, {Name: "maker", Count: 1}}, n.Tree.Below[2].Below)
}

type maker struct{ flavors.Root }

func (*maker) RemoteMake() *thing { return &thing{} }

type thing struct{ flavors.Referenceable }

func (*thing) RemoteAdd(a, b int) int { return a + b }

// TestMethodsCut keeps the most frequent and the slowest methods.
func TestMethodsCut(t *testing.T) {
	st := &broker.RuntimeStats{}
	for i := range 3 * maxMethods {
		m := broker.MethodStats{Type: "t", Method: "m" + strconv.Itoa(i)}
		m.Made = uint64(i)
		m.Latency.Buckets[i%20] = 1
		st.MethodsIn = append(st.MethodsIn, m)
	}
	st.MethodsOut = append(st.MethodsOut, broker.MethodStats{Method: "slow"})
	st.MethodsOut[0].Latency.Buckets[24] = 1
	list, more := new(sampler).methods(st)
	require.Len(t, list, maxMethods)
	assert.Equal(t, 2*maxMethods+1, more)
	assert.EqualValues(t, 3*maxMethods-1, list[0].Made)
	assert.True(t, slices.ContainsFunc(list, func(m Method) bool { return m.Method == "slow" && !m.Incoming }))
}

// TestFieldNames holds the names of the fields, on which others rely.
func TestFieldNames(t *testing.T) {
	want := `program time uptime_seconds window_seconds closing goroutines memory_bytes totals{connections_open
connections_opening connections_accepted connections_dialed calls_in{made answered failed cancelled pending}
calls_out{made answered failed cancelled pending} calls_in_per_second calls_out_per_second bytes_in bytes_out
bytes_in_per_second bytes_out_per_second messages_in messages_out exports imports caches local_caches bytes_unwritten
bytes_unanswered bytes_held refused} connections{number peer dialed state dialect users users_left_out actor
age_seconds calls_per_second calls_in{made answered failed cancelled pending} calls_out{made answered failed cancelled
pending} bytes_in bytes_out exports imports caches local_caches bytes_unwritten bytes_unanswered refused}
connections_left_out methods{incoming type method calls_per_second made answered failed cancelled pending mean_seconds
p50_seconds p90_seconds p99_seconds latency last_failure} methods_left_out latency_bounds_seconds objects{actor type
mailbox running restarts holders copies} objects_left_out tree{name detail count restarts below below_left_out}
refusals{reason count} closed{reason count} failures{time incoming type method peer exception}`
	assert.Equal(t, strings.Fields(want), strings.Fields(fieldNames(reflect.TypeFor[Snapshot]())))
	_, err := json.Marshal(Snapshot{})
	require.NoError(t, err)
}

func fieldNames(t reflect.Type) string {
	var b strings.Builder
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		b.WriteString(" " + name)
		kind := f.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct && kind != reflect.TypeFor[time.Time]() && kind != t {
			b.WriteString("{" + strings.TrimSpace(fieldNames(kind)) + "}")
		}
	}
	return b.String()
}

func TestClosedRuntime(t *testing.T) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	require.NoError(t, rt.Close(t.Context()))
	n := snapshotOf(t, Handler(rt))
	assert.True(t, n.Closing)
	assert.Len(t, n.Tree.Below, 4)
}
