package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/exampletest"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	//go:embed testdata/server.py
	stockServer []byte
	//go:embed testdata/client.py
	stockClient []byte
)

// purchase are the lines of the client.
var purchase = []string{
	"2 of tea for 620 cents; 8 left; more on their way: false", "prices: map[milk:120 tea:300]", "tea costs 350 now",
}

func TestShop(t *testing.T) {
	s := exampletest.New(t)
	end := s.Start(run, "server", "-listen", "pb://127.0.0.1:0")
	require.NoError(t, s.Run(run, "client", "-connect", s.Line("listening ")))
	for _, line := range purchase {
		s.Line(line)
	}
	require.NoError(t, end())
}

// TestLocalShop uses the same code without a connection.
func TestLocalShop(t *testing.T) {
	s := exampletest.New(t)
	require.NoError(t, s.Run(func(ctx context.Context, _ []string) error { return buyFrom(ctx, newShop()) }))
	for _, line := range purchase {
		s.Line(line)
	}
}

func TestArguments(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), nil), "server -listen")
	require.ErrorContains(t, run(t.Context(), []string{"sell"}), "sell")
	for _, end := range []string{"server", "client"} {
		require.Error(t, run(t.Context(), []string{end, "-nothing"}))
	}
	require.Error(t, run(t.Context(), []string{"server", "-listen", "gopher://x"}))
	require.Error(t, run(t.Context(), []string{"client", "-connect", "gopher://x"}))
}

// TestStockServer calls a stock server with the generated Go client.
func TestStockServer(t *testing.T) {
	stock.Require(t)
	p := stock.StartSource(t, "shop_server.py", stockServer)
	s := exampletest.New(t)
	require.NoError(t, s.Run(run, "client", "-connect", "pb://"+p.Addr()))
	p.WaitLine("order Article tea 2 True None 5")
	s.Line("2 of tea for 600 cents; 8 left; more on their way: false")
	s.Line("prices: map[milk:300 tea:300]")
	s.Line("tea costs 350 now")
}

// TestStockClient calls our server with the generated Python class.
func TestStockClient(t *testing.T) {
	stock.Require(t)
	dir := t.TempDir()
	class, err := os.ReadFile("shop_pb.py")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop_pb.py"), class, 0o600))
	ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", NewShopServer(newShop()))
	require.NoError(t, err)
	port := ln.URL()[len("pb://127.0.0.1:"):]
	_, err = strconv.Atoi(port)
	require.NoError(t, err)
	p := stock.StartSource(t, "shop_client.py", stockClient, port, dir)
	p.WaitLine("done")
	got := p.Lines()
	require.Subset(t, got, []string{
		"found tea 300",
		"order 570 350",
		"stock (7, False)",
		"prices [('milk', 120), ('tea', 300)] {'milk': 120}",
		"told tea 310",
	})
	for what, why := range map[string]string{
		"dict":             "argument 1 (article): cannot use dict as *main.Article: only an instance of the class is",
		"None":             "argument 1 (article): cannot use None as *main.Article",
		"text":             "argument 2 (n): cannot use str as int",
		"keyword":          `unknown keyword "colour"; it knows article, n, gift, note, discount`,
		"few":              "misses argument 2 (n)",
		"many":             "takes at most 1 positional argument, 2 were given",
		"twice":            "argument name was given twice",
		"customer":         "argument 1 (customer): cannot use str as Customer: only a reference to one is accepted",
		"shop as customer": "argument 1 (customer): cannot use *main.ShopServer as Customer",
	} {
		assert.Contains(t, p.WaitLine("refused "+what+" "), why)
	}
}

func TestNilImplementation(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	for _, impl := range []Shop{nil, (*shop)(nil)} {
		_, err := broker.Listen(rt, "pb://127.0.0.1:0", NewShopServer(impl))
		require.ErrorContains(t, err, "nil implementation")
	}
}

// friend is a customer that is passed twice.
type friend struct{ n int }

func (f *friend) PriceChanged(context.Context, string, int) error { f.n++; return nil }

// TestSameServer wants the methods of one implementation in one turn, however often it is passed.
func TestSameServer(t *testing.T) {
	f := &friend{}
	server := NewCustomerServer(f)
	assert.Same(t, server, NewCustomerServer(f))
	assert.NotSame(t, NewCustomerServer(f), NewCustomerServer(&friend{}))
}

// TestReturnedCustomer passes an object to a peer, which gives it back.
func TestReturnedCustomer(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	keeper := newShop()
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", NewShopServer(keeper))
	require.NoError(t, err)
	registry := jelly.NewRegistry()
	require.NoError(t, RegisterShopClasses(registry))
	require.NoError(t, RegisterShopClasses(registry), "a second time changes nothing")
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithRegistry(registry))
	require.NoError(t, err)
	defer conn.Abort(nil)
	client := NewShopClient(conn.Root())
	require.NoError(t, client.Subscribe(t.Context(), &friend{}))
	require.ErrorIs(t, client.Subscribe(t.Context(), nil), flavors.TypeError)
	_, err = client.Find(t.Context(), "water")
	require.ErrorIs(t, err, flavors.KeyError)
	require.Len(t, keeper.customers, 1)
	// The shop's own reference to the customer is a client, which goes home as what it stands for.
	back, ok := keeper.customers[0].(*CustomerClient)
	require.True(t, ok)
	require.NoError(t, back.PriceChanged(t.Context(), "tea", 1))
	_, err = client.Order(t.Context(), nil, 1, OrderOptions{})
	require.ErrorIs(t, err, flavors.TypeError)
}
