package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/sqlstore"
)

func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: alice is in
}

func example(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	store, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "users.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.CreateSchema(ctx); err != nil {
		return err
	}
	entry, err := cred.NewHasher().Argon2id(ctx, "sesame")
	if err != nil {
		return err
	}
	if err := store.SetUser(ctx, "alice", entry); err != nil {
		return err
	}

	checker, err := store.Checker()
	if err != nil {
		return err
	}
	id, err := checker.Check(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"})
	if err != nil {
		return err
	}
	fmt.Println(id, "is in")
	return nil
}
