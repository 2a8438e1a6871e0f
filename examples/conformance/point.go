package main

import "github.com/perspectivebroker/pb/flavors"

// pointClass is Point's class name on the wire.
const pointClass = "conformance.Point"

// Point is passed by copy, in both directions.
type Point struct {
	flavors.Copyable
	X any `pb:"x"`
	Y any `pb:"y"`
}

// TypeToCopy implements the flavor's class name.
func (*Point) TypeToCopy() string { return pointClass }

// RemotePoint returns a Point.
func (*Conformance) RemotePoint(x, y any) *Point { return &Point{X: x, Y: y} }

// RemoteTakePoint returns the fields of a received copy. Other classes are not registered, so they are refused before.
func (*Conformance) RemoteTakePoint(p *Point) ([]any, error) {
	if p == nil {
		return nil, flavors.TypeError.Errorf("None is no Point")
	}
	return []any{p.X, p.Y}, nil
}
