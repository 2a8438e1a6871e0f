package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// printer is the client's mind.
type printer struct{ flavors.Referenceable }

// RemotePrint prints a line of the chat.
func (*printer) RemotePrint(message string) { fmt.Println(message) }

// client is the parsed flags of the client.
type client struct {
	user, password, group, say string
	stay                       bool
}

// talk logs in, joins the group and sends the text.
func (c *client) talk(ctx context.Context, rt *actor.Runtime, url string) error {
	if c.user == "" {
		return errors.New("client needs -user")
	}
	conn, err := broker.Dial(ctx, rt, url)
	if err != nil {
		return err
	}
	mind := &printer{}
	avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: c.user, Password: cred.Secret(c.password)}, mind)
	if err != nil {
		return err
	}
	group, err := flavors.Call[*flavors.RemoteReference](ctx, avatar, "joinGroup", c.group)
	if err != nil {
		return fmt.Errorf("joining %s: %w", c.group, err)
	}
	fmt.Println("joined", c.group)
	if c.say != "" {
		if _, err := flavors.Call[any](ctx, group, "send", c.say); err != nil {
			return fmt.Errorf("saying it to %s: %w", c.group, err)
		}
	}
	if c.stay {
		select {
		case <-ctx.Done():
			return nil // Interrupted; the runtime closes the connection.
		case <-conn.Done():
			return fmt.Errorf("the server has gone: %w", context.Cause(conn.Context()))
		}
	}
	// Messages that arrived before the answer are in the mind's mailbox, in front of this function.
	_, err = mind.Do(func() {}).Await(ctx)
	return errors.Join(err, conn.Close(ctx))
}
