package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/perspectivebroker/pb/cmd/internal/terminal"
)

// passwordVariable is the environment variable with the password, for use instead of the flag: everybody on the machine
// can read flags. Buildbot's own container images use the same name.
const passwordVariable = "WORKERPASS"

// maxPassword limits a password file, in bytes.
const maxPassword = 4096

// secretFlags are the ways to give the password. A file comes first, then the flag, then the environment, then the
// terminal.
type secretFlags struct{ flag, file string }

// password returns the password, or nothing if there is none. It removes it from the environment and hides it, and the
// password in a proxy's URL, in the list of processes.
func (s *secretFlags) password(proxy string) (string, error) {
	found := s.flag
	if found == "" {
		found = os.Getenv(passwordVariable)
	}
	found = strings.Clone(found)
	hideSecrets(s.flag, os.Getenv(passwordVariable), secretURL(proxy))
	// The master is shown the environment, and every command inherits it.
	if err := os.Unsetenv(passwordVariable); err != nil {
		return "", err
	}
	if s.file != "" {
		return readPassword(s.file)
	}
	return found, nil
}

// secretURL returns the URL if it has a password.
func secretURL(text string) string {
	if u, err := url.Parse(text); err == nil && u.User == nil {
		return ""
	}
	return text
}

// readPassword reads the first line of a file.
func readPassword(path string) (string, error) {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return "", fmt.Errorf("the password file: %w", err)
		}
		defer file.Close()
	}
	text, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("the password file: %w", err)
	}
	if len(text) > maxPassword {
		return "", fmt.Errorf("the password file %s has more than %d bytes", path, maxPassword)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("the first line of the password file %s is empty", path)
	}
	return line, nil
}

// askPassword asks for the password if standard input is a terminal.
func askPassword(prompt io.Writer) (string, error) {
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return "", errors.New(
			"the password is missing: give it as a file with -password-file, in the environment variable " +
				passwordVariable + ", or at a terminal",
		)
	}
	text, err := terminal.ReadPassword(stdin, func() { fmt.Fprint(prompt, "Password of the worker: ") })
	fmt.Fprintln(prompt)
	if err == nil && len(text) == 0 {
		err = errors.New("the password is empty")
	}
	return string(text), err
}
