package interop

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/internal/stock"
)

// groups maps the groups of python/checks_*.py to rows of the table.
func groups() map[string]string {
	return map[string]string{
		"values": "types", "types": "types", "graphs": "graphs", "calls": "calls", "failures": "calls",
		"references": "references", "home": "references", "copies": "caches", "caches": "caches",
		"paging": "pages", "pages": "pages", "hostile": "hostile streams", "churn": "churn", "login": "login",
		"relaying": "relaying",
	}
}

// churned is the number of connections opened and closed: the contract's over TCP, fewer over other transports.
func churned(transport string) int {
	if transport == "tcp" {
		return 1500
	}
	return 200
}

// TestConformance runs the stock checks against examples/conformance, by group and transport, and logs a table of the
// results.
func TestConformance(t *testing.T) {
	stock.Require(t)
	with := makeOutfit(t)
	results := &table{title: "stock's client, our server"}
	defer results.publish(t)
	plain := slices.DeleteFunc(slices.Collect(maps.Keys(groups())), func(g string) bool {
		return g == "login" || g == "relaying"
	})
	t.Run("tcp, server without pb+1", func(t *testing.T) {
		results.check(t, startOurs(t, with, "tcp", withoutPB1Flags()...), plain...)
	})
	for _, transport := range transports() {
		t.Run(transport, func(t *testing.T) {
			results.check(t, startOurs(t, with, transport), plain...)
			e := startOurs(t, with, transport, withLogin()...)
			results.check(t, e, "login")
			if transport == "mutual tls" {
				assert.NotZero(t, Client(t, e.url, "--ca", with.certs.ca, "--only", "login_anonymously").ExitWithin(stock.Timeout),
					"nobody gets in without a certificate")
			}
		})
	}
}

// check runs groups of checks of stock_client.py against a server.
func (results *table) check(t *testing.T, e endpoint, names ...string) {
	t.Helper()
	args := append(e.clientCertificates(), "--connections", strconv.Itoa(churned(e.transport)))
	for _, name := range names {
		args = append(args, "--group", name)
	}
	client := Client(t, e.url, args...)
	code := client.ExitWithin(10 * stock.Timeout)
	group, ran := "", 0
	for _, line := range client.Lines() {
		verdict, rest, _ := strings.Cut(line, " ")
		switch verdict {
		case "group":
			group = groups()[rest]
		case "ok", "FAIL":
			ran++
			results.note(group, e.transport, verdict == "ok")
			if verdict == "FAIL" {
				t.Error(rest)
			}
		}
	}
	if code != 0 || ran == 0 {
		t.Errorf("stock_client.py ended with exit code %d after %d checks", code, ran)
	}
}
