package main

import (
	"context"

	"github.com/perspectivebroker/pb/cred"
)

func (p *player) login(ctx context.Context) {
	if len(p.avatars) > 3 {
		return
	}
	var who cred.Credentials = cred.Anonymous{}
	if p.r.IntN(2) == 0 {
		who = cred.UsernamePassword{Username: userName, Password: userPassword}
	}
	ended := p.t.made("login")
	avatar, err := p.conn.Login(ctx, who, nil)
	ended(err)
	if err != nil {
		return
	}
	p.t.add(&p.t.Avatars)
	p.avatars = append(p.avatars, avatar)
	p.follow("name", avatar.CallRemote("name"), nil)
}

func (p *player) logout(context.Context) {
	if n := len(p.avatars); n > 0 {
		p.conn.Logout(p.avatars[n-1])
		p.avatars = p.avatars[:n-1]
	}
}
