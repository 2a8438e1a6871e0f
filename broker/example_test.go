package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// Account is published by the example's server.
type Account struct {
	flavors.Root
	balance int
}

// Overdrawn is an exception type of the application's own; a Twisted peer can trap it by name.
var Overdrawn = flavors.NewException("bank.Overdrawn", flavors.PBError)

func (a *Account) RemoteDeposit(amount int) int { a.balance += amount; return a.balance }

func (a *Account) RemoteWithdraw(amount int) (int, error) {
	if amount > a.balance {
		return 0, Overdrawn.Errorf("there are only %d", a.balance)
	}
	a.balance -= amount
	return a.balance, nil
}

func Example() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)

	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Account{})
	if err != nil {
		log.Fatal(err)
	}

	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	balance, err := flavors.Call[int](ctx, conn.Root(), "deposit", 100)
	fmt.Println(balance, err)
	_, err = flavors.Call[int](ctx, conn.Root(), "withdraw", 500)
	fmt.Println(errors.Is(err, Overdrawn), err)
	// Output:
	// 100 <nil>
	// true bank.Overdrawn: there are only 100
}
