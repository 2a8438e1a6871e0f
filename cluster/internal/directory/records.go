package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/cluster/store"
)

// Member is a node of the cluster.
type Member struct {
	Name string `json:"name"`
	// Address is the URL at which other members reach it.
	Address string `json:"address"`
	// Incarnation is the id of its lease.
	Incarnation store.LeaseID `json:"incarnation"`
	// Kinds are the kinds of objects that it offers, sorted.
	Kinds []string `json:"kinds"`
	// Leaving is set when it takes no more objects.
	Leaving bool `json:"leaving,omitempty"`

	created int64 // the revision of its record
}

// Owner is the member that owns a shard.
type Owner struct {
	Node        string        `json:"node"`
	Incarnation store.LeaseID `json:"incarnation"`

	created int64 // the revision of its record
}

// Limits of what the store may hold: it may have been filled with anything.
const (
	maxRecord = 64 << 10
	maxName   = 255
)

func parseMember(key string, e store.Entry) (Member, error) {
	var m Member
	if err := parseRecord(e, &m); err != nil {
		return Member{}, err
	}
	switch {
	case m.Name != strings.TrimPrefix(key, memberPrefix):
		return Member{}, fmt.Errorf("the record is that of %.80q", m.Name)
	case m.Incarnation != e.Lease:
		return Member{}, errors.New("the record does not belong to the lease that it names")
	}
	m.created = e.Created
	return m, nil
}

func parseOwner(e store.Entry) (Owner, error) {
	var o Owner
	if err := parseRecord(e, &o); err != nil {
		return Owner{}, err
	}
	if o.Incarnation != e.Lease || o.Node == "" {
		return Owner{}, errors.New("the record does not belong to the lease that it names")
	}
	o.created = e.Created
	return o, nil
}

func parseRecord(e store.Entry, into any) error {
	switch {
	case e.Lease == 0:
		return errors.New("the record belongs to no lease")
	case len(e.Value) > maxRecord:
		return fmt.Errorf("the record has %d bytes, more than %d", len(e.Value), maxRecord)
	}
	return json.Unmarshal(e.Value, into)
}

// CheckName reports whether a node can have a name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > maxName:
		return fmt.Errorf("it has %d bytes, more than %d", len(name), maxName)
	case strings.ContainsAny(name, "/ \x00"):
		return errors.New("it contains a slash, a space or a zero byte")
	}
	return nil
}

func encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		return nil // Strings, numbers and booleans can always be encoded.
	}
	return b
}
