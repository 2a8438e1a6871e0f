// Package child starts the server and client processes of a comparison and talks to them: one JSON object a line,
// requests on the child's standard input, replies on its standard output. A child first writes a reply that says it is
// ready, a server with its address. It exits at the end of its input.
package child
