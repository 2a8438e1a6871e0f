//go:build unix

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/bzip2"
	"github.com/perspectivebroker/pb/flavors"
)

// pack writes a directory as a tar archive. Names are relative to the directory; symbolic links stay links.
func pack(ctx context.Context, w io.Writer, dir, compress string) error {
	var squeezed io.WriteCloser
	switch compress {
	case "":
	case "gz":
		squeezed = gzip.NewWriter(w)
	case "bz2":
		squeezed = bzip2.NewWriter(w)
	default:
		return flavors.ValueError.Errorf("argument compress is %s; it must be gz, bz2 or None", python(compress))
	}
	if squeezed != nil {
		w = squeezed
	}
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return add(ctx, archive, path, name, entry)
	})
	if err == nil {
		err = archive.Close()
	}
	if err == nil && squeezed != nil {
		err = squeezed.Close()
	}
	return err
}

func add(ctx context.Context, archive *tar.Writer, path, name string, entry fs.DirEntry) error {
	about, err := entry.Info()
	if err != nil {
		return err
	}
	if about.Mode()&fs.ModeSocket != 0 {
		return nil // tar has no sockets
	}
	target := ""
	if about.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	var f *os.File
	if about.Mode().IsRegular() {
		// The file may have changed since the directory was read.
		if f, err = openFile(path, os.O_RDONLY); err != nil {
			return err
		}
		defer f.Close()
		if about, err = f.Stat(); err != nil {
			return err
		}
		if about.IsDir() || about.Mode()&fs.ModeSocket != 0 {
			return nil
		}
	}
	header, err := tar.FileInfoHeader(about, target)
	if err != nil {
		return err
	}
	header.Name = name
	switch {
	case about.IsDir():
		header.Name += "/"
	case name == ".":
		header.Name = "" // a single file; the master names it
	}
	if err := archive.WriteHeader(header); err != nil || !about.Mode().IsRegular() {
		return err
	}
	// A file that grows meanwhile is cut at the announced size; one that shrinks is an error.
	_, err = io.CopyN(archive, untilDone{ctx, f}, header.Size)
	return err
}
