package codecs

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os/exec"
	"time"
)

//go:embed stock.py
var twistedScript string

// stockCommand has Debian's Python, which has Debian's Twisted, run the script.
func stockCommand() []string { return []string{"/usr/bin/python3", "-I", "-c", twistedScript} }

// twisted is a process with stock Twisted in it.
type twisted struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

type twistedRequest struct {
	Value   string  `json:"value"`
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// twistedReply says what one run took, and what was encoded or decoded.
type twistedReply struct {
	Ns   float64 `json:"ns"`
	Size int     `json:"size"`
	CRC  uint32  `json:"crc"`
}

// startTwisted starts the process, and sees to it that it can work. What it complains of goes to log.
func startTwisted(log io.Writer, command []string) (*twisted, error) {
	t := &twisted{cmd: exec.Command(command[0], command[1:]...)}
	t.cmd.Stderr = log
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = json.NewDecoder(bufio.NewReader(out))
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting stock Twisted: %w", err)
	}
	// Python without Twisted starts, and ends.
	if _, err := t.ask(twistedRequest{Value: "small", Step: stepEncode}); err != nil {
		return nil, errors.Join(err, t.end())
	}
	return t, nil
}

// end ends the process, which stops where its input does.
func (t *twisted) end() error { return errors.Join(t.in.Close(), t.cmd.Wait()) }

func (t *twisted) ask(r twistedRequest) (reply twistedReply, err error) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = t.in.Write(append(line, '\n'))
	}
	if err == nil {
		err = t.out.Decode(&reply)
	}
	if err != nil {
		return reply, fmt.Errorf("stock Twisted: %w", err)
	}
	return reply, nil
}

// subject has the process work on v. It is an error if its bytes are not ours: then the two do not do the same.
func (t *twisted) subject(v value) (subject, error) {
	ours, err := appendJelly(nil, v.generic)
	if err != nil {
		return subject{}, err
	}
	return subject{name: "twisted", timed: func(step string, each time.Duration) (float64, error) {
		reply, err := t.ask(twistedRequest{v.name, step, each.Seconds()})
		if err == nil && (reply.Size != len(ours) || reply.CRC != crc32.ChecksumIEEE(ours)) {
			err = fmt.Errorf("stock Twisted makes %d bytes of %s, we make %d others", reply.Size, v.name, len(ours))
		}
		return reply.Ns, err
	}}, nil
}
