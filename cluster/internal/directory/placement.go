package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Shards is how many shards each kind has.
const Shards = 4096

// Shard is a part of the objects of a kind. One member owns all objects of a shard.
type Shard struct {
	Kind   string
	Number int
}

// ShardOf returns the shard of an object.
func ShardOf(kind, id string) Shard {
	return Shard{kind, int(hash(kind, id) % Shards)}
}

// candidate returns the name of the member that should own a shard: of those that offer the kind and are not leaving,
// the one with the highest hash of its name and the shard. If a member comes or goes, only its own shards move. It
// returns "" if no member offers the kind.
func candidate(members map[string]Member, s Shard) string {
	best, name := uint64(0), ""
	number := strconv.Itoa(s.Number)
	for _, m := range members {
		if m.Leaving || !slices.Contains(m.Kinds, s.Kind) {
			continue
		}
		if h := hash(m.Name, s.Kind, number); name == "" || h > best || h == best && m.Name > name {
			best, name = h, m.Name
		}
	}
	return name
}

func hash(parts ...string) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, p := range parts {
		_, _ = d.WriteString(p)
		_, _ = d.WriteString("\x00")
	}
	return d.Sum64()
}

const (
	memberPrefix = "m/"
	shardPrefix  = "s/"
)

// key returns the shard's key behind the prefix. A kind may contain slashes: the number is behind the last one.
func (s Shard) key() string { return shardPrefix + s.Kind + "/" + strconv.Itoa(s.Number) }

func shardFromKey(key string) (Shard, bool) {
	key, ok := strings.CutPrefix(key, shardPrefix)
	at := strings.LastIndexByte(key, '/')
	if !ok || at < 1 {
		return Shard{}, false
	}
	n, err := strconv.Atoi(key[at+1:])
	s := Shard{key[:at], n}
	return s, err == nil && n >= 0 && n < Shards && s.key() == shardPrefix+key
}
