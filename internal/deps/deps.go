// Package deps keeps the module's dependencies in go.mod while the packages that need them are being written.
package deps

import (
	_ "github.com/asynkron/protoactor-go/actor"
	_ "github.com/rs/zerolog"
	_ "github.com/stretchr/testify/require"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/crypto/bcrypt"
	_ "pgregory.net/rapid"
)
