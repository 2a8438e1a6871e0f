package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAProgramIsHeardAndEnds(t *testing.T) {
	terminal := os.Stdout
	t.Run("on stage", func(t *testing.T) {
		s := New(t)
		over := errors.New("over")
		end := s.Start(func(ctx context.Context, args []string) error {
			fmt.Println("first of", args)
			fmt.Println("ready 7")
			<-ctx.Done()
			return over
		}, "a", "b")
		require.Equal(t, "7", s.Line("ready "))
		require.Equal(t, "[a b]", s.Line("first of "), "lines that were said before count as well")
		require.ErrorIs(t, end(), over)
		require.ErrorIs(t, end(), over, "twice is once")
		require.NoError(t, s.Run(func(context.Context, []string) error { fmt.Println("quick"); return nil }))
		s.Line("quick")
	})
	require.Equal(t, terminal, os.Stdout)
}
