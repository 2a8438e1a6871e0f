package main

import (
	"context"
	"maps"
	"slices"

	"github.com/perspectivebroker/pb/flavors"
)

// shop is the implementation. Its methods run one at a time, so they need no lock.
type shop struct {
	prices    map[string]int
	stock     map[string]int
	customers []Customer
}

func newShop() *shop {
	return &shop{
		prices: map[string]int{"tea": 300, "milk": 120},
		stock:  map[string]int{"tea": 10, "milk": 0},
	}
}

func (s *shop) price(name string) (int, error) {
	cents, ok := s.prices[name]
	if !ok {
		return 0, flavors.KeyError.Errorf("there is no %q", name)
	}
	return cents, nil
}

func (s *shop) Find(_ context.Context, name string) (*Article, error) {
	cents, err := s.price(name)
	if err != nil {
		return nil, err
	}
	return &Article{Name: name, Cents: cents}, nil
}

func (s *shop) Stock(_ context.Context, name string) (n int, more bool, err error) {
	if _, err := s.price(name); err != nil {
		return 0, false, err
	}
	return s.stock[name], s.stock[name] == 0, nil
}

func (s *shop) Order(_ context.Context, article *Article, n int, o OrderOptions) (int, error) {
	cents, err := s.price(article.Name)
	switch {
	case err != nil:
		return 0, err
	case n < 1 || n > s.stock[article.Name]:
		return 0, flavors.ValueError.Errorf("%d of %s cannot be had", n, article.Name)
	}
	s.stock[article.Name] -= n
	total := n * cents * (100 - o.Discount) / 100
	if o.Gift {
		total += 50
	}
	return total, nil
}

func (s *shop) Prices(_ context.Context, names ...string) (map[string]int, error) {
	if len(names) == 0 {
		return maps.Clone(s.prices), nil
	}
	prices := map[string]int{}
	for _, name := range names {
		cents, err := s.price(name)
		if err != nil {
			return nil, err
		}
		prices[name] = cents
	}
	return prices, nil
}

func (s *shop) Subscribe(_ context.Context, customer Customer) error {
	s.customers = append(s.customers, customer)
	return nil
}

func (s *shop) SetPrice(ctx context.Context, name string, cents int) error {
	if _, err := s.price(name); err != nil {
		return err
	}
	s.prices[name] = cents
	for _, c := range slices.Clone(s.customers) {
		// The method must not wait for customers, who may call the shop meanwhile.
		go func() { _ = c.PriceChanged(context.WithoutCancel(ctx), name, cents) }()
	}
	return nil
}
