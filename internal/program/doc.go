// Package program has what programs do alike beside Perspective Broker: signals, the Runtime, and flags.
package program
