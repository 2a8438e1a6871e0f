// Package netns makes networks of Linux namespaces for tests: hosts on one bridge, of which any two can be cut off from
// each other. It needs root and iproute2. Only tests import it.
package netns
