package main

import (
	"context"

	"github.com/perspectivebroker/pb/flavors"
)

//go:generate go -C ../../cmd run ./pb gen -o $PWD/shop_pb.go -python $PWD/shop_pb.py ../examples/shop

// Shop sells articles.
//
//pb:remote
type Shop interface {
	// Find returns an article.
	Find(ctx context.Context, name string) (*Article, error)
	// Stock returns how many of an article there are, and whether more are on their way.
	Stock(ctx context.Context, name string) (n int, more bool, err error)
	// Order takes n of an article, which must be one that Find returned. It returns the price in cents.
	Order(ctx context.Context, article *Article, n int, o OrderOptions) (int, error)
	// Prices returns the prices of some articles in cents; of all if no names are given.
	Prices(ctx context.Context, names ...string) (map[string]int, error)
	// Subscribe tells the customer of each change of a price.
	Subscribe(ctx context.Context, customer Customer) error
	// SetPrice changes the price of an article.
	SetPrice(ctx context.Context, name string, cents int) error
}

// Customer is told of changes.
//
//pb:remote
type Customer interface {
	// PriceChanged is called when the price of an article has changed.
	PriceChanged(ctx context.Context, name string, cents int) error
}

// Article is a copy.
type Article struct {
	flavors.Copyable
	Name  string `pb:"name"`
	Cents int    `pb:"cents"`
}

// TypeToCopy returns the class that a Python program registers.
func (*Article) TypeToCopy() string { return "shop.Article" }

// OrderOptions are keywords.
type OrderOptions struct {
	Gift bool    `pb:"gift,omitempty"`
	Note *string `pb:"note"`
	// Discount is in percent.
	Discount int `pb:"discount,default=5"`
}
