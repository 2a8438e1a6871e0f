package code

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

//guide:begin slow

// reportSlow reports calls that take longer than a time, in either direction.
func reportSlow(limit time.Duration, report func(call string, took time.Duration)) flavors.Interceptor {
	return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			begun := time.Now()
			v, err := next(ctx, call)
			return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
				if took := time.Since(begun); took > limit {
					report(call.String(), took)
				}
				return v, err
			})
		}
	})
}

//guide:end

//guide:begin token

var errNoToken = flavors.NewException("shop.NoToken", flavors.PBError)

// requireToken refuses calls of peers that do not carry the token.
func requireToken(token string) flavors.Interceptor {
	return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if call.Incoming() && call.Metadata()["token"] != token {
				return nil, errNoToken.New("the call carries no valid token")
			}
			return next(ctx, call)
		}
	})
}

// addToken has calls to the peer carry the token.
func addToken(token string) flavors.Interceptor {
	return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if !call.Incoming() {
				ctx = flavors.WithMetadata(ctx, flavors.Metadata{"token": token})
			}
			return next(ctx, call)
		}
	})
}

//guide:end

//guide:begin retry

// retryOnce makes a call again that the peer was too busy for, if its method is listed as harmless.
func retryOnce(harmless ...string) flavors.Interceptor {
	return flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			v, err := next(ctx, call)
			return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
				if !call.Incoming() && errors.Is(err, broker.Busy) && slices.Contains(harmless, call.Method()) {
					return next(ctx, call)
				}
				return v, err
			})
		}
	})
}

//guide:end

func TestInterceptors(t *testing.T) {
	rt, err := newRuntime()
	require.NoError(t, err)
	defer rt.Close(context.Background())
	var slow []string
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Shop{}, broker.WithInterceptor(
		reportSlow(-1, func(call string, _ time.Duration) { slow = append(slow, call) }), requireToken("sesame")))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.ErrorIs(t, err, errNoToken)

	var again int
	busyOnce := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if again++; again == 1 {
				return nil, broker.Busy.New("later")
			}
			return next(ctx, call)
		}
	})
	conn, err = broker.Dial(t.Context(), rt, ln.URL(),
		broker.WithInterceptor(retryOnce("price"), addToken("sesame"), busyOnce))
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.NoError(t, err)
	assert.Equal(t, 2, again)
	assert.Equal(t, []string{"Shop.price", "Shop.price"}, slow)
}
