package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// SlaveDuckPond is the cache of a MasterDuckPond. Its updates run one at a time, in its own actor.
type SlaveDuckPond struct {
	flavors.RemoteCache
	ducks []string
}

// SetCopyableState sets the initial state.
func (p *SlaveDuckPond) SetCopyableState(state any) error {
	fmt.Println(" cache - sitting, er, setting ducks")
	return jelly.Assign(&p.ducks, state)
}

// ObserveAddDuck handles the update addDuck.
func (p *SlaveDuckPond) ObserveAddDuck(duck string) {
	fmt.Println(" cache - addDuck")
	p.ducks = append(p.ducks, duck)
}

// ObserveRemoveDuck handles the update removeDuck.
func (p *SlaveDuckPond) ObserveRemoveDuck(duck string) {
	fmt.Println(" cache - removeDuck")
	if i := slices.Index(p.ducks, duck); i >= 0 {
		p.ducks = slices.Delete(p.ducks, i, i+1)
	}
}

// show prints the ducks as the stock program does.
func (p *SlaveDuckPond) show() {
	quoted := make([]string, len(p.ducks))
	for i, d := range p.ducks {
		quoted[i] = "'" + d + "'"
	}
	fmt.Printf("[%d] ducks:  [%s]\n", len(p.ducks), strings.Join(quoted, ", "))
}
