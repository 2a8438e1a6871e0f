package broker

import (
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
)

// internal is what package flavors has for this package and not for users.
var internal = flavors.Internal.Export(seam.Token{})

// The prefixes as package seam has them.
const (
	prefixRemote = string(flavors.PrefixRemote)
	prefixView   = string(flavors.PrefixView)
)
