// Package freeport gives tests ports for programs that cannot pick one themselves. Nobody else gets such a port before
// the program has it, or while it is started again. Only tests import it.
package freeport
