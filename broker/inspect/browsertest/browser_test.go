package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for the page. It is long, because the machine may be busy.
const patience = 2 * time.Minute

// programs are the names of the browser that distributions use.
var programs = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"}

// start starts the browser once for all tests. It ends with the process.
var start = sync.OnceValues(func() (context.Context, error) {
	program := ""
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return nil, exec.ErrNotFound
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.NoSandbox, // CI is root, for which the sandbox does not work.
		chromedp.WSURLReadTimeout(patience),
	)
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	browser, _ := chromedp.NewContext(allocator)
	return browser, chromedp.Do(browser)
})

func TestMain(m *testing.M) {
	status := m.Run()
	if browser, err := start(); err == nil {
		_ = chromedp.Cancel(browser)
	}
	os.Exit(status)
}

// tab is a page in the browser, and what happened to it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// Guarded by mu.
	requests []string // URLs
	problems []string // exceptions, lines of the console, dialogs
}

// open opens a page. It fails the test in the end if there was anything on the console.
func open(t *testing.T, address string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	browser, err := start()
	if err != nil {
		message := fmt.Sprintf("NOT PASSED, WITHOUT A BROWSER: %v; run: apt-get install chromium", err)
		if os.Getenv("CI") == "true" || os.Getenv("PB_REQUIRE_STOCK") != "" {
			t.Fatal(message)
		}
		t.Skip("SKIPPED, " + message)
	}
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithListener(b.event))
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx)) // The tab lives as long as the context of its first action.
	b.ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	_, err = chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	_, err = chromedp.Call(b.ctx, cdplog.Enable, cdp.Empty{})
	require.NoError(t, err)
	require.NoError(t, chromedp.Do(b.ctx, append(before, chromedp.Navigate(address))...))
	return b
}

func (b *tab) event(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text+": "+describe(e.ExceptionDetails.Exception))
	case *cdplog.EventEntryAdded:
		b.problems = append(b.problems, string(e.Entry.Level)+": "+e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		b.problems = append(b.problems, "a dialog: "+e.Message)
		go func() {
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	}
}

// clean requires that nothing went wrong in the page, and that it asked no other host.
func (b *tab) clean(address string) {
	b.t.Helper()
	home, err := url.Parse(address)
	require.NoError(b.t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.problems)
	require.NotEmpty(b.t, b.requests)
	for _, r := range b.requests {
		u, err := url.Parse(r)
		require.NoError(b.t, err)
		if u.Scheme != "data" {
			require.Equal(b.t, home.Host, u.Host, r)
		}
	}
}

// wait waits until a condition in JavaScript is true. chromedp.Poll would need eval, which the page's policy forbids.
func (b *tab) wait(condition string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`new Promise(done => {
		const look = () => (%s) ? done(true) : setTimeout(look, 20);
		look();
	})`, condition), chromedp.EvalAwaitPromise))
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), patience)
	defer cancel()
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NoError(b.t, err, "%s\nproblems: %q\nthe page shows:\n%s", condition, b.problems, shown)
}

// waitRow waits for a row of a table that contains texts, in this order.
func (b *tab) waitRow(table string, texts ...string) {
	b.t.Helper()
	b.wait(hasRow(table, texts...))
}

// hasRow is true if a row of a table has cells with the texts, in this order.
func hasRow(table string, texts ...string) string {
	return fmt.Sprintf(`Array.from(document.querySelectorAll("#%s tbody tr"), tr =>
		Array.from(tr.cells, td => td.textContent)).some(cells => { const want = %s;
			for (const c of cells) if (want.length && c === want[0]) want.shift();
			return want.length === 0; })`, table, list(texts))
}

// list writes texts as a list in JavaScript.
func list(texts []string) string {
	s := "["
	for _, text := range texts {
		s += fmt.Sprintf("%q,", text)
	}
	return s + "]"
}

// value evaluates JavaScript.
func value[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, js)
	return v
}

func (b *tab) click(selector string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Click(chromedp.CSS(selector))))
}

// phone makes the page as wide as that of a small phone.
func phone() chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile)
}

func desktop() chromedp.Action[chromedp.Void] { return chromedp.EmulateViewport(1400, 1000) }

// scheme has the page believe that the user prefers light or dark colours.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// picture writes a picture of the whole page, if that was asked for.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("PB_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}

// describe returns the text of an exception, with its stack.
func describe(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return o.Description
}
