package main

import (
	"context"
)

var callCommand = command{
	name: "call", usage: "[flags] URL METHOD [ARG…], or -describe URL",
	summary: "calls a method and prints its result",
	detail: `With a login (-u or -anonymous) the method is the avatar's, else that of the object published under the
URL's name. If the method fails, its exception goes to standard error, and the status is 1.`,
	prepare: prepareCall,
}

func prepareCall(f *flags) func(context.Context, *env, []string) error {
	p, o := f.peer(), f.output()
	noAnswer := f.set.Bool("no-answer", false, "do not ask for an answer, and do not wait")
	describe := f.set.Bool("describe", false, "print what methods the object has, if the peer tells; needs no METHOD")
	n := f.set.Int("n", 1, "make the call `N` times, one after the other")
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) == 2 && args[1] == "-describe" {
			*describe, args = true, args[:1]
		}
		if *describe {
			if len(args) != 1 {
				return usage("-describe needs a URL and nothing else")
			}
			return p.describe(ctx, e, o, args[0])
		}
		if len(args) < 2 {
			return usage("a URL and a method are required")
		}
		if *n < 1 {
			return usage("-n must be at least 1")
		}
		d, method, call, err := p.callOf(e, args)
		if err != nil {
			return err
		}
		ctx, cancel := p.timed(ctx)
		defer cancel()
		s, err := d.open(ctx)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		for range *n {
			if *noAnswer {
				err = s.conn.SendNoAnswer(s.object, method, call)
			} else {
				a := s.conn.Call(ctx, s.object, method, call)
				if err = a.Err; err == nil {
					err = o.show(e, a.Value)
				}
				if err == nil && *n > 1 {
					err = s.conn.Release(a.Mentions) // A peer hands out a limited number.
				}
			}
			if err != nil {
				return err
			}
		}
		if *noAnswer {
			s.conn.Finish(ctx)
		}
		return nil
	}
}
