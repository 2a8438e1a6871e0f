//go:build unix

package main

import (
	"slices"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
)

const (
	// flushSize and flushAfter are how much is gathered before it is sent, and for how long, as the stock worker has it.
	// Text counts in bytes here and everything else a little, so no string comes near the 640 KiB that Banana carries.
	flushSize  = 64 << 10
	flushAfter = 5 * time.Second
	// window is how many updates the master may leave unanswered, for one command, before we wait.
	window = 8
	// room is how much a job may have waiting to be sent before it waits: two updates' worth.
	room = 2 * flushSize
	// factSize is what a fact counts.
	factSize = 20
)

// update is one piece of news: text for stdout, stderr, header or a log, or a fact under another key.
type update struct {
	key   string
	log   string // the name of the log if key is "log"
	text  string
	value any // what is no text
}

func (u update) isText() bool {
	return u.key == "stdout" || u.key == "stderr" || u.key == "header" || u.key == "log"
}

func (u update) size() int {
	if u.isText() {
		return len(u.text)
	}
	return factSize
}

// wire is the update as the master takes it. The zero is a number that masters want and do not look at.
func (u update) wire() []any {
	var value any = u.text
	switch {
	case u.key == "log":
		value = jelly.Tuple{u.log, u.text}
	case !u.isText():
		value = u.value
	}
	return []any{map[string]any{u.key: value}, 0}
}

// outbox is what a command has to send: whole lines, gathered until there are enough of them or they are old enough.
type outbox struct {
	lines    map[string]*lines // by stream: text whose line has not ended
	gathered []update
	size     int     // of what is gathered
	sealed   [][]any // messages that are ready, each a list of updates
	waits    int     // the size of what is sealed
	sizes    []int   // of each sealed message
	unread   int     // messages that the master has not answered
	waiting  []chan struct{}
}

func (o *outbox) open() { o.lines = map[string]*lines{} }

// add takes an update. Text is held until its line has ended.
func (o *outbox) add(u update) {
	if u.isText() {
		key := u.key + "\x00" + u.log
		if o.lines[key] == nil {
			o.lines[key] = &lines{}
		}
		if u.text = o.lines[key].whole(u.text); u.text == "" {
			return
		}
	}
	o.gather(u)
}

// breakLines ends the lines that have not ended, because nothing comes any more.
func (o *outbox) breakLines() {
	keys := make([]string, 0, len(o.lines))
	for key := range o.lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if text := o.lines[key].rest(); text != "" {
			stream, log, _ := strings.Cut(key, "\x00")
			o.gather(update{key: stream, log: log, text: text})
		}
	}
}

func (o *outbox) gather(u update) {
	if o.size+u.size() > flushSize {
		o.seal()
	}
	last := len(o.gathered) - 1
	if last >= 0 && u.isText() && o.gathered[last].key == u.key && o.gathered[last].log == u.log {
		o.gathered[last].text += u.text
	} else {
		o.gathered = append(o.gathered, u)
	}
	o.size += u.size()
}

// seal makes a message of what is gathered.
func (o *outbox) seal() {
	if len(o.gathered) == 0 {
		return
	}
	message := make([]any, len(o.gathered))
	for i, u := range o.gathered {
		message[i] = u.wire()
	}
	o.sealed = append(o.sealed, message)
	o.sizes = append(o.sizes, o.size)
	o.waits += o.size
	o.gathered, o.size = nil, 0
}

// mayGo says whether there is a message that the master can be expected to take.
func (o *outbox) mayGo() bool { return len(o.sealed) > 0 && o.unread < window }

func (o *outbox) first() []any { return o.sealed[0] }

// went notes that the first message has been sent.
func (o *outbox) went() {
	o.waits -= o.sizes[0]
	o.sealed, o.sizes = o.sealed[1:], o.sizes[1:]
	o.unread++
}

func (o *outbox) answered() { o.unread-- }

func (o *outbox) empty() bool { return len(o.gathered) == 0 && len(o.sealed) == 0 }

// letGo lets jobs go on if there is room.
func (o *outbox) letGo() {
	if o.size+o.waits > room {
		return
	}
	for _, taken := range o.waiting {
		close(taken)
	}
	o.waiting = nil
}

// drop forgets everything, for nobody wants it.
func (o *outbox) drop() {
	o.gathered, o.size, o.sealed, o.sizes, o.waits = nil, 0, nil, nil, 0
	o.letGo()
}
