package broker

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLifecycleTransitions(t *testing.T) {
	allowed := map[state][]state{
		stateNegotiating: {stateOpen, stateClosed},
		stateOpen:        {stateDraining, stateFlushing, stateClosed},
		stateDraining:    {stateFlushing, stateClosed},
		stateFlushing:    {stateLingering, stateClosed},
		stateLingering:   {stateClosed},
		stateClosed:      {},
	}
	for from := stateNegotiating; from <= stateClosed; from++ {
		for to := stateNegotiating; to <= stateClosed; to++ {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				var l lifecycle
				l.init(t.Context())
				l.state.Store(int32(from))
				want := slices.Contains(allowed[from], to)
				assert.Equal(t, want, l.advance(to))
				now := from
				if want {
					now = to
				}
				assert.Equal(t, now, l.now())
				assert.Equal(t, want && to == stateOpen, l.wasOpened())
				assert.Equal(t, now == stateOpen || now == stateDraining, l.sends())
				assert.Equal(t, now == stateLingering || now == stateClosed, l.ended())
				l.lingered()
				if now == stateLingering {
					now = stateClosed
				}
				assert.Equal(t, now, l.now())
			})
		}
	}
}
