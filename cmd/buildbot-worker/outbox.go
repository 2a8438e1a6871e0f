//go:build unix

package main

import (
	"slices"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
)

const (
	// flushSize and flushAfter limit the size and the age of gathered output, as in the stock worker. Text counts in bytes
	// and other values a little, so no string comes near Banana's 640 KiB.
	flushSize  = 64 << 10
	flushAfter = 5 * time.Second
	// window is how many updates of one command may be unanswered.
	window = 8
	// room is how much unsent output a job may have before it waits, in bytes: two updates.
	room = 2 * flushSize
	// factSize is the size that a value without text counts.
	factSize = 20
)

// update is text for stdout, stderr, header or a log, or a value under another key.
type update struct {
	key   string
	log   string // the name of the log if key is "log"
	text  string
	value any // for other keys
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

// wire returns the update as the master takes it. Masters expect a number and ignore it.
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

// outbox is a command's unsent output: whole lines, gathered until there are enough of them or they are old enough.
type outbox struct {
	lines    map[string]*lines // by stream
	gathered []update
	size     int     // of gathered
	sealed   [][]any // messages to send, each a list of updates
	waits    int     // total size of the sealed messages
	sizes    []int   // size of each sealed message
	unread   int     // messages that the master has not answered
	waiting  []chan struct{}
}

func (o *outbox) open() { o.lines = map[string]*lines{} }

// add adds an update. It holds text until its line ends.
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

// breakLines ends unfinished lines, because the output is complete.
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

// seal makes a message of the gathered updates.
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

// canSend reports whether there is a message and the window has room for it.
func (o *outbox) canSend() bool { return len(o.sealed) > 0 && o.unread < window }

func (o *outbox) first() []any { return o.sealed[0] }

// sent removes the first message, which has been sent.
func (o *outbox) sent() {
	o.waits -= o.sizes[0]
	o.sealed, o.sizes = o.sealed[1:], o.sizes[1:]
	o.unread++
}

func (o *outbox) answered() { o.unread-- }

func (o *outbox) empty() bool { return len(o.gathered) == 0 && len(o.sealed) == 0 }

// release releases waiting jobs if there is room.
func (o *outbox) release() {
	if o.size+o.waits > room {
		return
	}
	for _, taken := range o.waiting {
		close(taken)
	}
	o.waiting = nil
}

// drop discards everything.
func (o *outbox) drop() {
	o.gathered, o.size, o.sealed, o.sizes, o.waits = nil, 0, nil, nil, 0
	o.release()
}
