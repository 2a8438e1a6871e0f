package actor_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/perspectivebroker/pb/actor"
)

func ExampleWithSlog() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	rt, err := actor.NewRuntime(actor.WithSlog(logger.With("app", "bank")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(context.Background())
	rt.Logger().Info().Str("branch", "main").Msg("open")
	// Output: level=INFO msg=open app=bank branch=main
}
