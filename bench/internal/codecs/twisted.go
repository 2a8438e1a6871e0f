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

// stockCommand returns the command that runs the script with Debian's Python, which has Debian's Twisted.
func stockCommand() []string { return []string{"/usr/bin/python3", "-I", "-c", twistedScript} }

// twisted is a process that runs stock Twisted.
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

// twistedReply is the result of one request.
type twistedReply struct {
	Ns   float64 `json:"ns"`   // mean time of one run
	Size int     `json:"size"` // size of the encoded value
	CRC  uint32  `json:"crc"`  // CRC-32 of the encoded value
}

// startTwisted starts the process and checks that it works. Its standard error goes to log.
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
	// Python without Twisted starts successfully and then exits.
	if _, err := t.ask(twistedRequest{Value: "small", Step: stepEncode}); err != nil {
		return nil, errors.Join(err, t.end())
	}
	return t, nil
}

// end closes the input of the process, which makes it exit, and waits for it.
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

// task returns a task that the process runs on v. It fails if Twisted's encoding differs from ours, because then the
// two are not comparable.
func (t *twisted) task(v value) (task, error) {
	ours, err := appendJelly(nil, v.generic)
	if err != nil {
		return task{}, err
	}
	return task{name: "twisted", measureRemote: func(step string, each time.Duration) (float64, error) {
		reply, err := t.ask(twistedRequest{v.name, step, each.Seconds()})
		if err == nil && (reply.Size != len(ours) || reply.CRC != crc32.ChecksumIEEE(ours)) {
			err = fmt.Errorf("stock Twisted encodes %s in %d bytes that differ from our %d bytes",
				v.name, reply.Size, len(ours))
		}
		return reply.Ns, err
	}}, nil
}
