package main

import (
	"context"

	"github.com/perspectivebroker/pb/cred"
)

func (p *client) login(ctx context.Context) {
	if len(p.avatars) > 3 {
		return
	}
	var credentials cred.Credentials = cred.Anonymous{}
	if p.r.IntN(2) == 0 {
		credentials = cred.UsernamePassword{Username: userName, Password: userPassword}
	}
	ended := p.t.started("login")
	avatar, err := p.conn.Login(ctx, credentials, nil)
	ended(err)
	if err != nil {
		return
	}
	p.t.add(&p.t.Avatars)
	p.avatars = append(p.avatars, avatar)
	p.track("name", avatar.CallRemote("name"), nil)
}

func (p *client) logout(context.Context) {
	if n := len(p.avatars); n > 0 {
		p.conn.Logout(p.avatars[n-1])
		p.avatars = p.avatars[:n-1]
	}
}
