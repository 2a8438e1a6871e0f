package cred

import "log/slog"

// PortalOption configures a Portal or Identities. The options are made by the With functions of this package.
type PortalOption interface{ applyPortal(*portalConfig) }

type portalConfig struct{ logger *slog.Logger }

func newPortalConfig(opts []PortalOption) portalConfig {
	c := portalConfig{logger: slog.Default()}
	for _, o := range opts {
		if o != nil {
			o.applyPortal(&c)
		}
	}
	return c
}

// LoggerOption is the option that [WithLogger] makes; everything of this package that logs takes it.
type LoggerOption struct{ logger *slog.Logger }

// WithLogger sets where to log what no caller is there to be told, such as the panic of a logout function. Refused
// logins are the caller's to log: it knows the address. Default: slog.Default().
func WithLogger(logger *slog.Logger) LoggerOption { return LoggerOption{logger} }

func (o LoggerOption) applyPortal(c *portalConfig) { o.set(&c.logger) }

func (o LoggerOption) set(logger **slog.Logger) {
	if o.logger != nil {
		*logger = o.logger
	}
}
