package main

import (
	"context"
	"errors"
	"strings"

	"github.com/perspectivebroker/pb/cmd/pb/internal/peer"
	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
)

var watchCommand = command{
	name: "watch", usage: "[flags] URL METHOD [ARG…]",
	summary: "calls a method that returns a Cacheable, and prints its state and updates",
	detail: `The first line is "state STATE", then each update is a line "METHOD ARG, …, name=value", until the
command is interrupted (status 130), -count updates have come, or the connection ends (status 3). The class
does not matter.`,
	prepare: prepareWatch,
}

var errNoCacheable = errors.New("the method's result is no Cacheable")

func prepareWatch(f *flags) func(context.Context, *env, []string) error {
	p, o := f.peer(), f.output()
	count := f.set.Int("count", 0, "end after `N` updates; 0 for no limit")
	return func(ctx context.Context, e *env, args []string) error {
		if *count < 0 {
			return usage("-count is a number of updates")
		}
		d, method, call, err := p.callOf(e, args)
		if err != nil {
			return err
		}
		timed, cancel := p.timed(ctx)
		defer cancel()
		s, err := d.open(timed)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		s.conn.Follow(true)
		a := s.conn.Call(timed, s.object, method, call)
		if a.Err != nil {
			return a.Err
		}
		cache, ok := a.Value.(*value.Cache)
		if !ok {
			return errNoCacheable
		}
		return follow(ctx, e, o, s.conn, cache, *count)
	}
}

// follow prints the state of a cache and its updates: count of them, or all if count is 0.
func follow(ctx context.Context, e *env, o *outputFlags, c *peer.Conn, cache *value.Cache, count int) error {
	if err := o.state(e, cache.State); err != nil {
		return err
	}
	updates := c.Updates(cache.ID)
	defer updates.Stop()
	for n := 0; count == 0 || n < count; n++ {
		u, ok := updates.Next(ctx)
		if !ok && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !ok {
			return &peer.LostError{Cause: c.Err()}
		}
		if err := o.update(e, u); err != nil {
			return err
		}
	}
	return nil
}

func (o *outputFlags) state(e *env, state any) error {
	if *o.json {
		return o.show(e, jelly.NewDict(jelly.Entry{Key: "state", Value: state}))
	}
	write := value.Print
	if *o.pretty {
		write = value.Pretty
	}
	text, err := write(state)
	if err == nil {
		e.line("state " + text)
	}
	return err
}

func (o *outputFlags) update(e *env, u peer.Update) error {
	if *o.json {
		kw := u.Kw
		if kw == nil {
			kw = jelly.NewDict()
		}
		return o.show(e, jelly.NewDict(
			jelly.Entry{Key: "method", Value: u.Method},
			jelly.Entry{Key: "args", Value: u.Args},
			jelly.Entry{Key: "kw", Value: textKeys(kw)},
		))
	}
	var args []string
	for _, a := range u.Args {
		text, err := value.Print(a)
		if err != nil {
			return err
		}
		args = append(args, text)
	}
	if u.Kw != nil {
		for name, v := range textKeys(u.Kw).All() {
			text, err := value.Print(v)
			if err != nil {
				return err
			}
			args = append(args, value.Name(name.(string))+"="+text)
		}
	}
	e.line(strings.TrimSuffix(value.Name(u.Method)+" "+strings.Join(args, ", "), " "))
	return nil
}

// textKeys returns keywords with names that are text; peers send bytes too.
func textKeys(kw *jelly.Dict) *jelly.Dict {
	out := jelly.NewDict()
	for k, v := range kw.All() {
		switch k := k.(type) {
		case string:
			out.Set(k, v)
		case []byte:
			out.Set(string(k), v)
		}
	}
	return out
}
