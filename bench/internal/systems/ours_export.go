package systems

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// exportBatch is the maximum number of references in one answer.
const exportBatch = 1000

// Export implements Exporter.
func (c *typedClient) Export(ctx context.Context, n int) (Handles, error) {
	refs := make(references, 0, n)
	for len(refs) < n {
		v, err := c.root.CallRemote("export", min(exportBatch, n-len(refs))).Await(ctx)
		if err != nil {
			return nil, err
		}
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("export answered %T", v)
		}
		for _, x := range list {
			ref, ok := x.(*flavors.RemoteReference)
			if !ok {
				return nil, fmt.Errorf("export answered a list with %T", x)
			}
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

type references []*flavors.RemoteReference

// Len implements Handles.
func (r references) Len() int { return len(r) }

// Add implements Handles.
func (r references) Add(ctx context.Context, i, a, b int) (int, error) { return add(ctx, r[i], a, b) }

// Release implements Handles.
func (r references) Release() {
	for _, ref := range r {
		ref.Release()
	}
}

// Hold implements Holder.
func (c *typedClient) Hold(ctx context.Context, n int) (func() error, error) {
	calls := make([]*actor.Deferred, n)
	for i := range calls {
		calls[i] = c.root.CallRemote("hold")
		if i%100 == 99 {
			// Its answer shows that the earlier calls have been written, so the write limit is not exceeded.
			if _, err := c.Add(ctx, 1, 2); err != nil {
				return nil, err
			}
		}
	}
	if _, err := c.Add(ctx, 1, 2); err != nil {
		return nil, err
	}
	return func() error {
		_, err := c.root.CallRemote("release").Await(ctx)
		for _, d := range calls {
			_, e := d.Await(ctx)
			err = errors.Join(err, e)
		}
		return err
	}, nil
}
