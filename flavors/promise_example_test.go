package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// Branch is a node of a tree.
type Branch struct {
	flavors.Root
	path string
}

func (b *Branch) RemoteChild(name string) *Branch { return &Branch{path: b.path + "/" + name} }

func (b *Branch) RemotePath() string { return b.path }

// RemoteLink takes another branch.
func (b *Branch) RemoteLink(to *Branch) string { return b.path + " -> " + to.path }

// Calls on results that are not there yet take one round trip together.
func ExamplePromise() {
	conn, leave := pbtest.Visit(&Branch{})
	defer leave()
	ctx := context.Background()

	leaf := conn.Root().Begin("child", "a").Begin("child", "b")
	path, err := flavors.Call[string](ctx, leaf, "path")
	fmt.Println(path, err)

	link, err := flavors.Call[string](ctx, leaf, "link", conn.Root().Begin("child", "c"))
	fmt.Println(link, err)

	// What is no reference cannot be called.
	_, err = flavors.Call[string](ctx, leaf.Begin("path"), "path")
	fmt.Println(errors.Is(err, flavors.NotAReference))
	// Output:
	// /a/b <nil>
	// /a/b -> /c <nil>
	// true
}

// Begin gives the call of a promise a deadline.
func ExampleBegin() {
	conn, leave := pbtest.Visit(&Branch{})
	defer leave()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	child := flavors.Begin(ctx, conn.Root(), "child", "a")
	ref, err := flavors.As[*flavors.RemoteReference](child.Deferred().Await(ctx))
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := flavors.Call[string](ctx, ref, "path")
	fmt.Println(path, err)
	// Output:
	// /a <nil>
}

// CallRemoteContext calls a promised object without waiting, with the deadline and the metadata of a context.
func ExamplePromise_CallRemoteContext() {
	conn, leave := pbtest.Visit(&Branch{})
	defer leave()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	path := conn.Root().Begin("child", "a").CallRemoteContext(ctx, "path")
	fmt.Println(flavors.As[string](path.Await(ctx)))
	// Output: /a <nil>
}
