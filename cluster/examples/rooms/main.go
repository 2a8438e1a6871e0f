// Rooms is a cluster of chat rooms. Each process is a node, on which rooms live, and a gateway, to which users
// connect with any Perspective Broker, such as Twisted's. A user reaches all rooms through any gateway.
//
//	rooms -name NAME -listen PBURL -link PBSURL -ca FILE -cert FILE -key FILE -cred USER=PW… \
//	    [-etcd URL,… | -embedded DIR] [-ttl 15s] [-debug]
//
// It prints "listening URL" when it serves. SIGTERM has it hand over its rooms and end. docs/guide/cluster.md
// starts three.
package main

import (
	"errors"
	"flag"
	"time"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/internal/program"
)

func main() {
	zerolog.TimeFieldFormat = time.RFC3339Nano // The order of events in the logs of several nodes.
	program.Main("rooms", run)
}

// options are the program's flags.
type options struct {
	name, listen, link string
	advertise          string
	ca, cert, key      string
	users              program.Passwords
	etcd, embedded     string
	ttl                time.Duration
	debug              bool
}

func parse(args []string) (*options, error) {
	o := &options{users: program.Passwords{}}
	flags := flag.NewFlagSet("rooms", flag.ContinueOnError)
	flags.StringVar(&o.name, "name", "", "the node's `NAME`, as in its certificate")
	flags.StringVar(&o.listen, "listen", "pb://127.0.0.1:8800", "the `URL` for users; port 0 picks a free one")
	flags.StringVar(&o.link, "link", "pbs://127.0.0.1:0", "the `URL` for other nodes; port 0 picks a free one")
	flags.StringVar(&o.advertise, "advertise", "", "the `URL` of -link as other nodes reach it")
	flags.StringVar(&o.ca, "ca", "", "a PEM `FILE` with the authority of the nodes")
	flags.StringVar(&o.cert, "cert", "", "a PEM `FILE` with the node's certificate")
	flags.StringVar(&o.key, "key", "", "a PEM `FILE` with the certificate's key")
	flags.Var(o.users, "cred", "a user's `USER=PASSWORD`; may be repeated")
	flags.StringVar(&o.etcd, "etcd", "", "the `URL`s of etcd, with commas between them")
	flags.StringVar(&o.embedded, "embedded", "", "run an etcd in this process; its data and its URL are in `DIR`")
	flags.DurationVar(&o.ttl, "ttl", cluster.DefaultTTL, "how long the node's lease lasts without a renewal")
	flags.BoolVar(&o.debug, "debug", false, "log what rooms do")
	if err := program.Parse(flags, args); err != nil {
		return nil, err
	}
	switch {
	case (o.etcd == "") == (o.embedded == ""):
		return nil, errors.New("give either -etcd URL or -embedded DIR")
	case o.ca == "" || o.cert == "" || o.key == "":
		return nil, errors.New("give -ca, -cert and -key: links between nodes use mutual TLS")
	case len(o.users) == 0:
		return nil, errors.New("give at least one -cred USER=PASSWORD")
	}
	return o, nil
}
