package code

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

//guide:begin search

// Archive is searched for a long time.
type Archive struct {
	flavors.Root
	pages []string
}

// RemoteSearch stops when its caller does not wait any more.
func (a *Archive) RemoteSearch(ctx context.Context, word string) (int, error) {
	found := 0
	for _, page := range a.pages {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		found += count(page, word)
	}
	return found, nil
}

//guide:end

//guide:begin ask

// ask gives the archive twenty seconds.
func ask(ctx context.Context, archive *flavors.RemoteReference, word string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	found, err := flavors.Call[int](ctx, archive, "search", word)
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, errors.New("the archive is too slow today")
	}
	return found, err
}

//guide:end

//guide:begin branch

// Branch passes searches on to an archive in another program.
type Branch struct {
	flavors.Root
	archive *flavors.RemoteReference
}

// RemoteSearch asks in its caller's time, and is cancelled with its caller.
func (b *Branch) RemoteSearch(ctx context.Context, word string) *actor.Deferred {
	return b.archive.CallRemoteContext(ctx, "search", word)
}

//guide:end

//guide:begin tenant

// Ledger keeps the books of many tenants.
type Ledger struct{ flavors.Root }

// RemoteBalance learns from the call's metadata whose balance is wanted.
func (l *Ledger) RemoteBalance(inv *flavors.Invocation) (int, error) {
	tenant, ok := inv.Metadata()["tenant"].(string)
	if !ok {
		return 0, flavors.ValueError.New("the call names no tenant")
	}
	return balanceOf(tenant), nil
}

func balance(ctx context.Context, ledger *flavors.RemoteReference, tenant string) (int, error) {
	ctx = flavors.WithMetadata(ctx, flavors.Metadata{"tenant": tenant})
	return flavors.Call[int](ctx, ledger, "balance")
}

//guide:end

func count(page, word string) int {
	if page == word {
		return 1
	}
	return 0
}

func balanceOf(tenant string) int { return len(tenant) }

func TestDeadlines(t *testing.T) {
	archive := pbtest.NewServer(t, &Archive{pages: []string{"a", "b", "a"}}).Dial()
	found, err := ask(t.Context(), archive.Root(), "a")
	require.NoError(t, err)
	assert.Equal(t, 2, found)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = ask(late, archive.Root(), "a")
	require.ErrorContains(t, err, "too slow")
	branch := pbtest.NewServer(t, &Branch{archive: archive.Root()}).Dial()
	found, err = ask(t.Context(), branch.Root(), "b")
	require.NoError(t, err)
	assert.Equal(t, 1, found)
	ledger := pbtest.NewServer(t, &Ledger{}).Dial()
	n, err := balance(t.Context(), ledger.Root(), "moe")
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	_, err = flavors.Call[int](t.Context(), ledger.Root(), "balance")
	require.ErrorIs(t, err, flavors.ValueError)
}
