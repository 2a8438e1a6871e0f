// Package service has what a worker needs as a service of its machine: a lock on its directory, systemd's
// notifications, a rotated log, and the duties of a container's first process.
package service
