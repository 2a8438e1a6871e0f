package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/adapters/web"
	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/webs"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/stock"
)

// webClients is the number of concurrent HTTP clients. Each keeps its connection.
const webClients = 64

// webBack publishes the Go back and returns its address.
func webBack(b *testing.B) string {
	ln, err := broker.Listen(newRuntime(b), "pb://127.0.0.1:0", web.Publish(webs.Handler()))
	if err != nil {
		b.Fatal(err)
	}
	return ln.Addr().String()
}

// webFront serves a back through the Go front.
func webFront(b *testing.B, back string) string {
	client, err := broker.Reconnect[any](newRuntime(b), "pb://"+back, nil)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(web.Mount(client))
	b.Cleanup(server.Close)
	return server.URL
}

// webScript is stock Twisted: "alone" serves the pages in DIR, "back" publishes them, "front" serves HOST PORT.
const webScript = `
import sys
from twisted.internet import reactor
from twisted.spread import pb
from twisted.web import distrib, resource, server, static

class Page(resource.Resource):
    isLeaf = True
    def render_GET(self, request):
        return open(sys.argv[2] + "/page.html", "rb").read()

mode = sys.argv[1]
if mode == "front":
    root = distrib.ResourceSubscription(sys.argv[2], int(sys.argv[3]))
else:
    root = resource.Resource()
    root.putChild(b"page.html", Page())
factory = server.Site(root)
if mode == "back":
    factory = pb.PBServerFactory(distrib.ResourcePublisher(factory))
print("port", reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
`

func webStock(b *testing.B, args ...string) string {
	stock.Require(b)
	return stock.StartSource(b, "web.py", []byte(webScript), args...).Addr()
}

// BenchmarkWeb measures requests through package web and through stock Twisted. Clients, Go fronts and Go backs are in
// this process; stock ones have a process each.
func BenchmarkWeb(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(webs.Page), 0o600); err != nil {
		b.Fatal(err)
	}
	hostPort := func(addr string) []string { return append([]string{"front"}, strings.Split(addr, ":")...) }
	for _, c := range []struct {
		name string
		url  func(b *testing.B) string
	}{
		{"ours-ours", func(b *testing.B) string { return webFront(b, webBack(b)) }},
		{"ours-stock", func(b *testing.B) string { return webFront(b, webStock(b, "back", dir)) }},
		{"stock-ours", func(b *testing.B) string { return "http://" + webStock(b, hostPort(webBack(b))...) }},
		{"stock-stock", func(b *testing.B) string {
			return "http://" + webStock(b, hostPort(webStock(b, "back", dir))...)
		}},
		{"stock-alone", func(b *testing.B) string { return "http://" + webStock(b, "alone", dir) }},
		{"nethttp-alone", func(b *testing.B) string {
			server := httptest.NewServer(webs.Handler())
			b.Cleanup(server.Close)
			return server.URL
		}},
	} {
		b.Run("requests/"+c.name, func(b *testing.B) { webRequests(b, c.url(b)) })
	}
	b.Run("stream/ours-ours", func(b *testing.B) { webStream(b, webFront(b, webBack(b))) })
	b.Run("stream/stock-ours", func(b *testing.B) { webStream(b, "http://"+webStock(b, hostPort(webBack(b))...)) })
}

// webRequests gets the page b.N times.
func webRequests(b *testing.B, url string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: webClients}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	cpu := child.CPU()
	for range webClients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := webGet(client, url+"/page.html", webs.Page); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric((child.CPU()-cpu)/float64(b.N), "cpu-µs/request") // of this process
}

func webGet(client *http.Client, url, want string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != want) {
		err = fmt.Errorf("%s: %q", resp.Status, body)
	}
	return err
}

// webStream gets a long response b.N times.
func webStream(b *testing.B, url string) {
	b.SetBytes(webs.Big)
	for range b.N {
		resp, err := http.Get(url + "/big")
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || n != webs.Big {
			b.Fatal(n, err)
		}
	}
}
