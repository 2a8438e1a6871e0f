package service

import (
	"net"
	"os"
	"strconv"
	"time"
)

// Notifier tells systemd about the state of a service with Type=notify; see sd_notify(3). Without systemd it does
// nothing.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// NewNotifier reads systemd's variables and removes them from the environment, so that no command inherits them.
func NewNotifier() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	pid := os.Getenv("WATCHDOG_PID")
	if micros, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && micros > 0 &&
		(pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(min(micros, 1e12)) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
		_ = os.Unsetenv(name) // fails for no name
	}
	return n
}

// Watchdog is how often systemd expects a sign of life at least; 0 if it expects none. A service should give one twice
// as often.
func (n *Notifier) Watchdog() time.Duration {
	if n.socket == "" {
		return 0
	}
	return n.watchdog
}

// Ready reports that the service has started, and what it does.
func (n *Notifier) Ready(status string) { n.send("READY=1\nSTATUS=" + status) }

// Status reports what the service does, in one line.
func (n *Notifier) Status(status string) { n.send("STATUS=" + status) }

// Stopping reports that the service ends.
func (n *Notifier) Stopping() { n.send("STOPPING=1\nSTATUS=shutting down") }

// Alive is a sign of life for the watchdog.
func (n *Notifier) Alive() { n.send("WATCHDOG=1") }

// send sends one datagram. Nothing can be done about an error: the service works without systemd.
func (n *Notifier) send(state string) {
	if n.socket == "" {
		return
	}
	// A name that begins with @ is in the abstract namespace, for systemd and for package net.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	// A manager that does not read must not stop the service.
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(state))
}
