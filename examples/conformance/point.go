package main

import "github.com/perspectivebroker/pb/flavors"

// pointClass is the name under which points travel.
const pointClass = "conformance.Point"

// Point is sent by copy, in both directions.
type Point struct {
	flavors.Copyable
	X any `pb:"x"`
	Y any `pb:"y"`
}

// TypeToCopy names the class for the receiver.
func (*Point) TypeToCopy() string { return pointClass }

// RemotePoint answers with a copy.
func (*Conformance) RemotePoint(x, y any) *Point { return &Point{X: x, Y: y} }

// RemoteTakePoint takes a copy apart. Other classes do not get here: they are not registered.
func (*Conformance) RemoteTakePoint(p *Point) ([]any, error) {
	if p == nil {
		return nil, flavors.TypeError.Errorf("None is no Point")
	}
	return []any{p.X, p.Y}, nil
}
