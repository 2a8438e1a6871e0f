package main

import (
	"context"

	"github.com/perspectivebroker/pb/bench/internal/report"
)

func memory(context.Context, options) ([]report.Row, error) { return nil, nil }
func growth(context.Context, options) ([]report.Row, error) { return nil, nil }
