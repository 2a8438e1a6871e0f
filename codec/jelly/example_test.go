package jelly_test

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

func show(frame []byte) {
	expr, _, err := banana.DecodeExpr(frame, banana.ProfilePB, banana.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(banana.Format(expr))
}

// A list that occurs twice is written once.
func ExampleFragment() {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	shared := []any{5, 7}
	if err := f.Jelly(map[string]any{"mine": shared, "yours": shared}); err != nil {
		fmt.Println(err)
		return
	}
	frame, err := f.Append(nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	show(frame)
	// Output:
	// [dictionary [["unicode" "mine"] [reference 1 [list 5 7]]] [["unicode" "yours"] [dereference 1]]]
}

// A value that is not transferable is refused by the sender, with its path.
func ExampleFragment_JellyTuple() {
	type owner struct {
		Name string   `pb:"name"`
		Done chan int `pb:"done"`
	}
	f := jelly.NewFragment(jelly.Context{})
	defer f.Free()
	err := f.JellyTuple([]any{1, owner{Name: "Ada"}})
	fmt.Println(err)
	// Output:
	// args[1].Done: chan int is not transferable
}

// lamp is sent as [remote luid]. Only the owner of the connection knows the luid.
type lamp struct{ room string }

func (l *lamp) JellyTo(e *jelly.Encoder, self any) error {
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymRemote)
	e.Hole(self)
	return nil
}

func ExampleEncoder_Hole() {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.JellyTuple([]any{&lamp{"kitchen"}, "and", &lamp{"hall"}}); err != nil {
		fmt.Println(err)
		return
	}
	luid := int64(40)
	frame, err := f.Append(nil, func(dst []byte, payload any) ([]byte, error) {
		luid++
		fmt.Println(luid, "is the", payload.(*lamp).room)
		return banana.AppendInt(dst, luid), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	show(frame)
	// Output:
	// 41 is the kitchen
	// 42 is the hall
	// [tuple [remote 41] ["unicode" "and"] [remote 42]]
}

// Point is the Go type for the peer's class geometry.Point.
type Point struct {
	X int `pb:"x"`
	Y int `pb:"y"`
}

func ExampleUnjelly() {
	frame, err := banana.AppendExpr(nil, banana.ProfilePB, []banana.Expr{[]byte("list"),
		[]banana.Expr{[]byte("geometry.Point"), []banana.Expr{[]byte("dictionary"),
			[]banana.Expr{[]byte("x"), int64(3)}, []banana.Expr{[]byte("y"), int64(4)}}},
		[]banana.Expr{[]byte("remote"), int64(7)}}, banana.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}

	registry := jelly.NewRegistry()
	if err := registry.Register("geometry.Point", jelly.ClassEntry{New: func() any { return new(Point) }}); err != nil {
		fmt.Println(err)
		return
	}
	var (
		r     banana.Reader
		value any
	)
	r.Reset(frame, banana.ProfilePB)
	d := jelly.Decoder{Registry: registry}
	if err := d.Decode(&r, &value); err != nil {
		fmt.Println(err)
		return
	}
	err = jelly.Unjelly(d.Unbound(), nil, func(u *jelly.Unbound) (any, error) {
		return fmt.Sprintf("<%s %d>", u.Tag, u.ID), nil
	})
	list := value.([]any)
	fmt.Println(*list[0].(*Point), list[1], err)
	// Output:
	// {3 4} <remote 7> <nil>
}

func ExampleSecurityOptions() {
	var (
		r     banana.Reader
		value any
	)
	frame, _ := banana.AppendExpr(nil, banana.ProfilePB, []banana.Expr{[]byte("os.Secret"), int64(1)}, banana.Limits{})
	r.Reset(frame, banana.ProfilePB)
	err := (&jelly.Decoder{}).Decode(&r, &value)
	fmt.Println(err)

	r.Reset(frame, banana.ProfilePB)
	d := jelly.Decoder{Taster: jelly.DefaultSecurity().AllowInstancesOf("os.Secret")}
	err = d.Decode(&r, &value)
	fmt.Println(value.(*jelly.Instance).State, err)
	// Output:
	// insecure jelly at byte 0: class "os.Secret" is not registered: use flavors.RegisterReference and broker.WithRegistry
	// 1 <nil>
}

func ExampleAssign() {
	type fish struct {
		Name   string    `pb:"name"`
		Sizes  []float64 `pb:"sizes"`
		Caught *bool     `pb:"caught"`
	}
	value := []any{jelly.NewDict(
		jelly.Entry{Key: []byte("name"), Value: []byte("carp")}, // A Python 2 peer.
		jelly.Entry{Key: "sizes", Value: jelly.Tuple{int64(1), 2.5}},
		jelly.Entry{Key: "caught", Value: nil},
	)}
	var pond []fish
	fmt.Println(jelly.Assign(&pond, value), pond[0].Name, pond[0].Sizes, pond[0].Caught)

	err := jelly.Assign(new([]struct {
		Name int `pb:"name"`
	}), value)
	var mismatch *jelly.AssignError
	fmt.Println(errors.As(err, &mismatch), err)
	// Output:
	// <nil> carp [1 2.5] <nil>
	// true cannot use bytes as int at [0].name
}

func ExampleDict() {
	d := jelly.NewDict(jelly.Entry{Key: "a", Value: 1}, jelly.Entry{Key: jelly.Tuple{1, 2}, Value: "pair"})
	d.Set("b", 2)
	for key, value := range d.All() {
		fmt.Println(key, value)
	}
	fmt.Println(d.Get(jelly.Tuple{1, 2}))
	// Output:
	// a 1
	// (1, 2) pair
	// b 2
	// pair true
}

func ExampleMentions() {
	// A frame that is not decoded: the peer counted its references, and they must be released.
	frame, _ := banana.AppendExpr(nil, banana.ProfilePB, []banana.Expr{[]byte("tuple"),
		[]banana.Expr{[]byte("remote"), int64(3)}, []banana.Expr{[]byte("remote"), int64(3)}}, banana.Limits{})
	var r banana.Reader
	r.Reset(frame, banana.ProfilePB)
	jelly.Mentions(&r, 1, func(m jelly.Mention) { fmt.Println(m.Tag, m.ID) })
	// Output:
	// remote 3
	// remote 3
}
