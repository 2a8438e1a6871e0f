package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one connection to a measured system. Its methods wait for the answer and may be called concurrently.
type Client interface {
	// Add asks the server for the sum of two small numbers.
	Add(ctx context.Context, a, b int) (int, error)
	// Echo asks the server to send payload back. The result is valid until the caller's next call.
	Echo(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// Order is the struct that the structs workload sends both ways.
type Order struct {
	Customer string         `pb:"customer"`
	Number   int            `pb:"number"`
	Price    float64        `pb:"price"`
	Paid     bool           `pb:"paid"`
	Items    map[string]int `pb:"items"`
}

// Confirmed returns what a server answers to the order: one that is paid.
func (o Order) Confirmed() Order {
	o.Paid = true
	return o
}

// Confirmer is a [Client] that can send and receive structs.
type Confirmer interface {
	// Confirm asks the server for the order, paid.
	Confirm(ctx context.Context, o Order) (Order, error)
}

// LentEchoer is a [Client] whose echo belongs to the caller until release is called.
type LentEchoer interface {
	EchoLent(ctx context.Context, payload []byte) (echo []byte, release func(), err error)
}

// Call makes one call and checks its answer. n is the number of the caller's earlier calls; it varies the arguments.
type Call func(ctx context.Context, n int) error

// Result is the result of one run.
type Result struct {
	Calls     int64
	Elapsed   time.Duration
	Latencies Histogram // of every call, or of every sampleEvery-th call of each caller
}

// With more than sampleAbove callers, only one call in sampleEvery is timed: timing each call would cost a sizeable
// part of a call of the fastest systems.
const (
	sampleEvery = 16
	sampleAbove = 8
)

// Rate returns the calls per second.
func (r *Result) Rate() float64 { return float64(r.Calls) / r.Elapsed.Seconds() }

// Run runs all callers concurrently until d has passed. Each caller makes one call after the other, at least one, so
// that the result is never empty. Run waits for the calls in progress at the end and counts them. An error ends the
// run; Run returns the errors of all callers, joined.
func Run(ctx context.Context, callers []Call, d time.Duration) (*Result, error) {
	var (
		stop atomic.Bool
		wg   sync.WaitGroup
		sum  = &Result{}
		mu   sync.Mutex
		errs error
	)
	every := 1
	if len(callers) > sampleAbove {
		every = sampleEvery
	}
	results := make([]Result, len(callers))
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	start := time.Now()
	for i, call := range callers {
		wg.Go(func() {
			r := &results[i]
			err := loop(ctx, call, &stop, every, r)
			mu.Lock()
			defer mu.Unlock()
			sum.Calls += r.Calls
			sum.Latencies.Add(&r.Latencies)
			if err != nil {
				stop.Store(true)
				errs = errors.Join(errs, err)
			}
		})
	}
	wg.Wait()
	sum.Elapsed = time.Since(start)
	return sum, errs
}

func loop(ctx context.Context, call Call, stop *atomic.Bool, every int, r *Result) error {
	for n := 0; n == 0 || !stop.Load(); n++ {
		timed := n%every == 0
		var begin time.Time
		if timed {
			begin = time.Now()
		}
		if err := call(ctx, n); err != nil {
			return err
		}
		if timed {
			r.Latencies.Record(time.Since(begin))
		}
		r.Calls++
	}
	return nil
}

// AddCall returns a Call that calls c.Add.
func AddCall(c Client) Call {
	return func(ctx context.Context, n int) error {
		a, b := n&0xff, 2
		sum, err := c.Add(ctx, a, b)
		if err == nil && sum != a+b {
			err = fmt.Errorf("wrong answer to %d + %d: %d", a, b, sum)
		}
		return err
	}
}

// EchoCall returns a Call that calls c.Echo with payloads of size bytes.
func EchoCall(c Client, size int) Call {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	return func(ctx context.Context, n int) error {
		// One varying byte detects the answer to another call. Comparing the whole payload would distort the
		// measurement.
		mark := n % size
		payload[mark]++
		echo, release, err := echoOf(ctx, c, payload)
		if err != nil {
			return err
		}
		defer release()
		if len(echo) != size || echo[mark] != payload[mark] {
			err = fmt.Errorf("wrong echo of %d bytes: got %d bytes", size, len(echo))
		}
		return err
	}
}

func echoOf(ctx context.Context, c Client, payload []byte) (echo []byte, release func(), err error) {
	if lent, ok := c.(LentEchoer); ok {
		return lent.EchoLent(ctx, payload)
	}
	echo, err = c.Echo(ctx, payload)
	return echo, func() {}, err
}

// ConfirmCall returns a Call that calls c.Confirm.
func ConfirmCall(c Confirmer) Call {
	order := Order{
		Customer: "Wilhelmina Grubbly-Plank", Price: 12.5,
		Items: map[string]int{"quills": 3, "parchment": 12, "ink": 1, "owl treats": 40},
	}
	return func(ctx context.Context, n int) error {
		order.Number = n
		got, err := c.Confirm(ctx, order)
		if err == nil && (got.Number != n || !got.Paid || got.Items["ink"] != 1 || len(got.Items) != 4) {
			err = fmt.Errorf("wrong answer to %+v: %+v", order, got)
		}
		return err
	}
}
