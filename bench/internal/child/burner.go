package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// RoleBurner is the role of a child that uses one processor and does nothing else.
const RoleBurner = "burner"

// RunBurner uses one processor until the end of in. It is the main function of a burner process.
func RunBurner(in io.Reader) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	for n := 0; ; n++ {
		if n%1_000_000 != 0 {
			continue
		}
		select {
		case err := <-ended:
			return err
		default:
		}
	}
}

// StartBurners starts n processes that make the machine busy, until end is called or ctx ends.
func StartBurners(ctx context.Context, n int) (end func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var ends []func() error
	end = func() (err error) {
		for _, one := range ends {
			err = errors.Join(err, one())
		}
		return err
	}
	for range n {
		cmd := exec.CommandContext(ctx, program, "-role", RoleBurner)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("starting a burner: %w", err), end())
		}
		ends = append(ends, func() error { return errors.Join(in.Close(), cmd.Wait()) })
	}
	return end, nil
}
