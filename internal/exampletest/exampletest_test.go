package exampletest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunner(t *testing.T) {
	stdout := os.Stdout
	t.Run("captured", func(t *testing.T) {
		r := New(t)
		over := errors.New("over")
		end := r.Start(func(ctx context.Context, args []string) error {
			fmt.Println("first of", args)
			fmt.Println("ready 7")
			<-ctx.Done()
			return over
		}, "a", "b")
		require.Equal(t, "7", r.Line("ready "))
		require.Equal(t, "[a b]", r.Line("first of "), "earlier lines match too")
		require.ErrorIs(t, end(), over)
		require.ErrorIs(t, end(), over, "the second call returns the same result")
		wait := r.StartUntilEnd(func(ctx context.Context, _ []string) error {
			fmt.Println("a moment")
			return errors.Join(over, ctx.Err())
		})
		require.EqualError(t, wait(), "over", "its context goes on")
		r.Line("a moment")
		require.NoError(t, r.Run(func(context.Context, []string) error { fmt.Println("quick"); return nil }))
		r.Line("quick")
	})
	require.Equal(t, stdout, os.Stdout)
}
