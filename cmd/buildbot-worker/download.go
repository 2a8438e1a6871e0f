package main

import (
	"context"
	"fmt"
	"os"

	"github.com/perspectivebroker/pb/flavors"
)

// downloadFile fetches a file from the master.
type downloadFile struct {
	transfer
	reader *flavors.RemoteReference
	mode   *uint32
}

func newDownloadFile(at place, args arguments) (job, error) {
	if err := args.need("workdir", "workerdest", "reader", "blocksize"); err != nil {
		return nil, err
	}
	d := &downloadFile{}
	if err := args.fill(map[string]any{"reader": &d.reader, "mode": &d.mode}); err != nil {
		return nil, err
	}
	return d, d.setup(at, args, "workerdest")
}

func (d *downloadFile) run(ctx context.Context, out *report) error {
	calls, done := afterInterrupt(ctx, d.reader)
	defer done()
	if err := makeParent(d.path); err != nil {
		return err
	}
	f, err := d.create(ctx)
	if err != nil {
		d.fail("download", err)
	} else {
		undo := interruptible(ctx, f)
		err = d.pull(ctx, calls, f)
		undo()
		if closing := f.Close(); err == nil {
			err = failure(closing)
		}
		if err != nil {
			d.rc = 1
		}
	}
	if f == nil {
		err = nil // fail has reported it
	}
	if _, closing := flavors.Call[any](calls, d.reader, "close"); closing != nil {
		out.header(fmt.Sprintf("the master could not close its file: %v\n", closing))
	}
	d.finish(ctx, out)
	return err
}

func (d *downloadFile) create(ctx context.Context) (*os.File, error) {
	f, err := openToWrite(ctx, d.path)
	if err == nil && d.mode != nil {
		// The umask does not apply: the master decides on the mode.
		if err = f.Chmod(fileMode(*d.mode)); err != nil {
			f.Close()
			f = nil
		}
	}
	return f, err
}

// pull reads blocks from the master until one is empty.
func (d *downloadFile) pull(ctx, calls context.Context, f *os.File) error {
	for ctx.Err() == nil {
		length := d.next()
		if length == 0 {
			return nil
		}
		block, err := flavors.Call[[]byte](calls, d.reader, "read", length)
		if err != nil {
			return err
		}
		if len(block) == 0 {
			return nil
		}
		d.moved(len(block))
		if _, err := f.Write(block); err != nil && ctx.Err() == nil {
			return failure(err)
		}
	}
	return nil
}

// fileMode converts the system's mode bits to Go's.
func fileMode(bits uint32) os.FileMode {
	mode := os.FileMode(bits & 0o777)
	for _, special := range []struct {
		bit  uint32
		mode os.FileMode
	}{{0o4000, os.ModeSetuid}, {0o2000, os.ModeSetgid}, {0o1000, os.ModeSticky}} {
		if bits&special.bit != 0 {
			mode |= special.mode
		}
	}
	return mode
}
