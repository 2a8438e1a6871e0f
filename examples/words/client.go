package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// client is the parsed flags of the client.
type client struct {
	user, password, group, say string
	stay                       time.Duration
}

// talk logs in, joins the group, sends the text and prints what it hears.
func (c *client) talk(ctx context.Context, rt *actor.Runtime, url string) error {
	if c.user == "" {
		return errors.New("client needs -user")
	}
	registry := jelly.NewRegistry()
	for _, class := range []string{avatarClass, groupClass} {
		if err := flavors.RegisterReference(registry, class); err != nil {
			return err
		}
	}
	conn, err := broker.Dial(ctx, rt, url, broker.WithRegistry(registry))
	if err != nil {
		return err
	}
	heard := newMind(c.say)
	avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: c.user, Password: cred.Secret(c.password)}, heard)
	if err != nil {
		return err
	}
	group, err := flavors.Call[*flavors.RemoteReference](ctx, avatar, "join", c.group)
	if err != nil {
		return fmt.Errorf("joining %s: %w", c.group, err)
	}
	if group == nil {
		return fmt.Errorf("joining %s: the server has answered None", c.group)
	}
	heard.Do(func() { heard.joined(c.group) })
	if c.say != "" {
		if _, err := flavors.Call[any](ctx, group, "send", map[string]string{"text": c.say}); err != nil {
			return fmt.Errorf("saying it to %s: %w", c.group, err)
		}
		heard.Do(func() { heard.print(c.user, c.say) })
	}
	if !heard.wait(ctx, conn, c.stay) {
		return fmt.Errorf("the server has gone: %w", context.Cause(conn.Context()))
	}
	// An interrupted client leaves too, so ctx may have ended.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err = flavors.Call[any](end, group, "leave", "bye")
	// Messages that arrived before the answer are in the mind's mailbox, in front of this function.
	_, printed := heard.Do(func() {}).Await(end)
	return errors.Join(err, printed, conn.Close(end))
}

// mind is what the server tells the client.
type mind struct {
	flavors.Referenceable
	echo   string        // what another member says in answer
	echoed chan struct{} // closed when it was heard

	// Used in the object's turn only.
	in    bool
	early []string // heard before the join was answered
	users map[*flavors.RemoteReference]bool
}

// Limits of what the server may leave with the client.
const (
	maxEarly = 1000 // lines before the join is answered
	maxUsers = 500  // references that are kept, so that users keep their numbers
)

func newMind(echo string) *mind {
	return &mind{echo: echo, echoed: make(chan struct{}), users: map[*flavors.RemoteReference]bool{}}
}

// ReferenceClass makes the mind one that a stock server can call.
func (*mind) ReferenceClass() (class string, extras []any) { return mindClass, nil }

// RemoteReceive prints a message.
func (m *mind) RemoteReceive(user, _ *flavors.RemoteReference, message *jelly.Dict) error {
	if user == nil {
		return flavors.TypeError.New("receive: the user is None")
	}
	var text string
	if v, ok := message.GetName("text"); ok && v != nil {
		if err := jelly.Assign(&text, v); err != nil {
			return flavors.TypeError.Errorf("receive, text: %w", err)
		}
	}
	m.keep(user)
	m.print(fmt.Sprint("user ", user.Luid()), text)
	if text == m.echo && m.echo != "" {
		close(m.echoed)
		m.echo = ""
	}
	return nil
}

// RemoteUserJoined notes a user. Users have no names on the wire.
func (m *mind) RemoteUserJoined(_, user *flavors.RemoteReference) { m.keep(user) }

// RemoteUserLeft forgets a user.
func (m *mind) RemoteUserLeft(_, user *flavors.RemoteReference, _ any) { delete(m.users, user) }

// RemoteGroupMetaUpdate does nothing but answer.
func (*mind) RemoteGroupMetaUpdate(_ *flavors.RemoteReference, _ any) {}

func (m *mind) keep(user *flavors.RemoteReference) {
	if len(m.users) < maxUsers {
		m.users[user] = true
	}
}

// joined prints that the client has joined, and what it has heard before.
func (m *mind) joined(group string) {
	fmt.Println("joined", group)
	m.in = true
	for _, line := range m.early {
		fmt.Println(line)
	}
	m.early = nil
}

// print prints a message, without what controls a terminal.
func (m *mind) print(user, text string) {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, fmt.Sprintf("<%s> %s", user, text))
	switch {
	case m.in:
		fmt.Println(line)
	case len(m.early) < maxEarly:
		m.early = append(m.early, line)
	}
}

// wait waits until the client shall leave. It reports false if the connection has ended.
func (m *mind) wait(ctx context.Context, conn *broker.Conn, stay time.Duration) bool {
	timer := time.NewTimer(stay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-m.echoed:
	case <-timer.C:
	case <-conn.Done():
		return false
	}
	return true
}
