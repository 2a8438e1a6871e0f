package paging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
)

const novel = "It was a dark and stormy night; the rain fell in torrents."

// Shelf sends a novel in pages and receives others.
type Shelf struct {
	flavors.Root
	added *paging.Reader
}

// RemoteCut sends the novel as twisted.spread.util's StringPager would.
func (*Shelf) RemoteCut(collector *flavors.RemoteReference, size int) *actor.Deferred {
	return paging.Send(collector, paging.FromBytes([]byte(novel), size))
}

// RemoteCopy sends the novel from an io.Reader, such as a file.
func (*Shelf) RemoteCopy(collector *flavors.RemoteReference) *actor.Deferred {
	return paging.Send(collector, paging.FromReader(strings.NewReader(novel), 16))
}

// RemoteBurn fails after the first half.
func (*Shelf) RemoteBurn(collector *flavors.RemoteReference) {
	fire := io.MultiReader(strings.NewReader(novel[:14]), failing{errors.New("the shelf is on fire")})
	paging.Send(collector, paging.FromReader(fire, 7))
}

// RemoteAdd returns a collector.
func (s *Shelf) RemoteAdd() any { return s.added.Collector() }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// verses is a Pager whose pages are dictionaries.
type verses struct{ left []string }

func (v *verses) NextPage() (any, error) {
	if len(v.left) == 0 {
		return nil, io.EOF
	}
	page := map[string]any{"verse": v.left[0]}
	v.left = v.left[1:]
	return page, nil
}

// RemoteSing sends the pages of a Pager.
func (*Shelf) RemoteSing(collector *flavors.RemoteReference) *actor.Deferred {
	return paging.Send(collector, &verses{[]string{"Daisy, Daisy", "give me your answer, do"}})
}

func ExampleGetAll() {
	conn, leave := visit(&Shelf{})
	defer leave()
	pages, err := paging.GetAll(context.Background(), conn.Root(), "cut", 20)
	for _, page := range pages {
		fmt.Printf("%q\n", page)
	}
	fmt.Println(err)
	// Output:
	// "It was a dark and st"
	// "ormy night; the rain"
	// " fell in torrents."
	// <nil>
}

func ExamplePager() {
	conn, leave := visit(&Shelf{})
	defer leave()
	pages, err := paging.GetAll(context.Background(), conn.Root(), "sing")
	fmt.Println(len(pages), err)
	// Output: 2 <nil>
}

func ExampleOpen() {
	conn, leave := visit(&Shelf{})
	defer leave()
	r := paging.Open(context.Background(), conn.Root(), "copy")
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(r) // Only unread pages are kept, so the file may have any size.
	fmt.Println(string(text), err, r.Received())

	broken := paging.Open(context.Background(), conn.Root(), "burn")
	defer func() { _ = broken.Close() }()
	text, err = io.ReadAll(broken)
	fmt.Printf("%s… %v\n", text, err)
	// Output:
	// It was a dark and stormy night; the rain fell in torrents. <nil> 58
	// It was a dark … twisted.spread.pb.Error: the peer ended its paging early: sending pages: the shelf is on fire
}

func ExampleWriter() {
	shelf := &Shelf{added: paging.NewReader(0)}
	conn, leave := visit(shelf)
	defer leave()
	ctx := context.Background()
	collector, err := flavors.Call[*flavors.RemoteReference](ctx, conn.Root(), "add")
	if err != nil {
		log.Fatal(err)
	}
	w := paging.NewWriter(ctx, collector, 24, func(written int64) { fmt.Println("sent:", written) })
	if _, err := io.Copy(w, strings.NewReader(novel)); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil { // waits until the peer has everything
		log.Fatal(err)
	}
	var copied bytes.Buffer
	_, err = copied.ReadFrom(shelf.added)
	fmt.Println(copied.String(), err)
	// Output:
	// sent: 24
	// sent: 48
	// sent: 58
	// It was a dark and stormy night; the rain fell in torrents. <nil>
}

func ExampleCollector() {
	conn, leave := visit(&Shelf{})
	defer leave()
	ended := make(chan error)
	collector := paging.NewCollector(
		func(page any) error { fmt.Printf("%s|", page); return nil },
		func(err error) { ended <- err },
	)
	conn.Root().CallRemote("copy", collector)
	fmt.Println("", <-ended)
	// Output: It was a dark an|d stormy night; |the rain fell in| torrents.| <nil>
}
