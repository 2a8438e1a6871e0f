package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/cred"
)

var passwdCommand = command{
	name: "passwd", usage: "[flags] FILE USER",
	summary: "changes a file of passwords",
	detail: `Each line of the file is USER:ENTRY. The entry is a hash made with argon2id, which a server can check if the
client sends the password itself, over TLS. Stock Twisted's login needs -md5, which is nearly as secret as the
password. The file is replaced as a whole; a new one can be read by its owner only. Other lines stay as they
are. The password comes from -p, -password-file, PB_PASSWORD or the terminal.`,
	prepare: preparePasswd,
}

// errWrongPassword is the end of -verify without success.
var errWrongPassword = errors.New("the user is unknown or the password is wrong")

func preparePasswd(f *flags) func(context.Context, *env, []string) error {
	p := &peerFlags{
		flags:        f,
		password:     f.set.String("p", "", "the `PASSWORD`; other users of the machine can see it"),
		passwordFile: f.set.String("password-file", "", "read the password from the first line of `FILE`"),
	}
	md5 := f.set.Bool("md5", false, "store the MD5 of the password, for Twisted's challenge")
	remove := f.set.Bool("delete", false, "remove the user")
	verify := f.set.Bool("verify", false, "check the password instead of changing it")
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) != 2 {
			return usage("a file and a user are required")
		}
		if *remove && (*verify || *md5) || *verify && *md5 {
			return usage("-delete, -verify and -md5 exclude each other")
		}
		path, user := args[0], args[1]
		if err := checkName(user); err != nil {
			return usageError{err}
		}
		if *remove {
			return change(ctx, path, user, "")
		}
		password, err := p.newPassword(e, user, !*verify)
		if err != nil {
			return err
		}
		if *verify {
			return verifyPassword(ctx, path, user, password)
		}
		entry := cred.MD5(password)
		if !*md5 {
			if entry, err = cred.NewHasher().Argon2id(ctx, password); err != nil {
				return err
			}
		}
		return change(ctx, path, user, entry.Encode())
	}
}

// checkName refuses names that a line of the file cannot hold.
func checkName(user string) error {
	switch refused := cred.CheckUsername(user); {
	case refused != nil:
		return fmt.Errorf("the name %s cannot be used: %w", quoted(user), refused)
	case strings.ContainsRune(user, ':'):
		return fmt.Errorf("the name %s cannot be used: it contains a colon", quoted(user))
	case strings.HasPrefix(user, "#"), strings.TrimSpace(user) != user:
		return fmt.Errorf("the name %s cannot be used: it begins with # or has spaces around it", quoted(user))
	}
	return nil
}

// newPassword reads a password, a new one twice if it comes from the terminal.
func (p *peerFlags) newPassword(e *env, user string, twice bool) (cred.Secret, error) {
	password, err := p.readPassword(e, "password of "+quoted(user)+": ")
	if err != nil {
		return "", err
	}
	if password == "" {
		return "", usage("the password is empty; nobody could log in with it")
	}
	if twice && !p.flags.given("p") && *p.passwordFile == "" && e.getenv("PB_PASSWORD") == "" {
		again, err := p.readPassword(e, "again: ")
		if err == nil && again != password {
			err = usage("the two passwords differ")
		}
		return password, err
	}
	return password, nil
}

func verifyPassword(ctx context.Context, path, user string, password cred.Secret) error {
	_, lines, err := readPasswords(path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(lines, func(line string) bool { return isUser(line, user) })
	if i < 0 {
		return errWrongPassword
	}
	entry, err := cred.ParseEntry(strings.TrimRight(lines[i][len(user)+1:], " \t\r"))
	if err != nil {
		return err
	}
	right, err := cred.NewHasher().Verify(ctx, entry, password)
	if err == nil && !right {
		err = errWrongPassword
	}
	return err
}

func isUser(line, user string) bool { return strings.HasPrefix(line, user+":") }

// maxPasswords is the most bytes of a file of passwords.
const maxPasswords = 64 << 20

// readPasswords returns the lines of a file, without their ends. The file must be complete.
func readPasswords(path string) (fs.FileInfo, []string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, nil, fmt.Errorf("%s is a link; name the file that it leads to", path)
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxPasswords+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(b) > maxPasswords:
		return nil, nil, fmt.Errorf("%s is longer than %d MiB", path, maxPasswords>>20)
	case len(b) == 0:
		return info, nil, nil
	case bytes.IndexByte(b, 0) >= 0:
		return nil, nil, fmt.Errorf("%s contains NUL bytes, so it is no file of passwords or is damaged", path)
	case b[len(b)-1] != '\n':
		return nil, nil, fmt.Errorf("%s does not end with a newline: it is incomplete, or being written", path)
	}
	return info, strings.Split(string(b[:len(b)-1]), "\n"), nil
}

// change replaces the entry of a user, or removes it if it is empty. The new content is written to FILE.lock, which at
// most one program can create, and takes the file's place.
func change(ctx context.Context, path, user, entry string) error {
	lock := path + ".lock"
	out, err := acquire(ctx, lock)
	if err != nil {
		return err
	}
	defer out.Close()
	done := false
	defer func() {
		if !done {
			_ = os.Remove(lock) // The file is ours.
		}
	}()
	info, lines, err := readPasswords(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && entry != "":
	case err != nil:
		return err
	default:
		if err := out.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
		if err := keepOwner(out, info); err != nil {
			return err
		}
	}
	lines, found := withEntry(lines, user, entry)
	if !found && entry == "" {
		return fmt.Errorf("%s has no user %s", path, quoted(user))
	}
	text := strings.Join(append(lines, ""), "\n")
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := unchanged(path, info); err != nil {
		return err
	}
	if err := os.Rename(lock, path); err != nil {
		return err
	}
	done = true
	return nil
}

// unchanged checks that a file is the one that was read, or that there still is none. An editor does not know of the
// lock.
func unchanged(path string, read fs.FileInfo) error {
	now, err := os.Lstat(path)
	switch {
	case read == nil && errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && read != nil && os.SameFile(now, read) && now.Mode() == read.Mode() && now.Size() == read.Size() &&
		now.ModTime().Equal(read.ModTime()):
		return nil
	}
	return fmt.Errorf("another program has changed %s meanwhile, so it stays as it is: try again", path)
}

// withEntry replaces the lines of a user by one, in the place of the first.
func withEntry(lines []string, user, entry string) (changed []string, found bool) {
	for _, line := range lines {
		switch {
		case !isUser(line, user):
			changed = append(changed, line)
			continue
		case !found && entry != "":
			changed = append(changed, user+":"+entry)
		}
		found = true
	}
	if !found && entry != "" {
		changed = append(changed, user+":"+entry)
	}
	return changed, found
}

// lockPatience is how long to wait for another program that changes the file.
const lockPatience = 5 * time.Second

func acquire(ctx context.Context, lock string) (*os.File, error) {
	deadline := time.Now().Add(lockPatience)
	for {
		file, err := os.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another program changes the file; if none does, remove %s", lock)
		}
		if !sleepUntil(ctx, time.Now().Add(50*time.Millisecond)) {
			return nil, context.Cause(ctx)
		}
	}
}
