package docscheck

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/perspectivebroker/pb/flavors/replica"
)

// TestDocumentedLimits compares the table in docs/security.md with the constants.
func TestDocumentedLimits(t *testing.T) {
	limits := broker.DefaultLimits()
	documented := map[string]string{}
	for line := range strings.Lines(read(t, "docs/security.md")) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			documented[strings.TrimSpace(cells[1])] = strings.ReplaceAll(strings.TrimSpace(cells[2]), ",", "")
		}
	}
	for limit, value := range map[string]any{
		"digits of a Banana header":                       banana.DefaultPrefix,
		"bytes of a string":                               banana.DefaultString,
		"elements of a list":                              banana.DefaultList,
		"nested values":                                   jelly.DefaultNesting,
		"bytes of a failure's text, and of its traceback": flavors.MaxFailureText,
		"nested Banana lists":                             banana.DefaultDepth,
		"bytes of a frame":                                banana.DefaultFrame,
		"exported objects of a connection":                limits.Exports,
		"cached objects of a connection":                  limits.Caches,
		"references held to a peer's objects, and mentioned in one message": limits.Imports,
		"bytes of one published state kept on disk":                         published.DefaultMaxState,
		"published states kept in a directory":                              published.DefaultMaxFiles,
		"entries of a followed map (`flavors/replica`)":                     replica.DefaultMaxEntries,
		"bytes of the first state and the updates behind its entries":       replica.DefaultMaxBytes,
		"unanswered calls, in each direction":                               limits.CallsIn,
		"bytes of unanswered calls of a connection":                         limits.BytesIn,
		"bytes held for all connections of a runtime":                       limits.MemoryTotal,
		"bytes of pages kept by a page reader":                              paging.DefaultBuffer,
		"bytes of pages kept by paging.GetAll (fixed)":                      paging.MaxKept,
		"unwritten bytes before our own calls wait":                         limits.WriteHighWater,
		"unwritten bytes before the peer's calls wait":                      limits.MaxWriteBacklog,
		"time to negotiate profile and version":                             limits.Handshake,
		"time without progress of a write":                                  limits.Stall,
		"time for a Cacheable to give its state":                            limits.StateTimeout,
		"time a released object stays resolvable for pending answers":       limits.ReleaseGrace,
	} {
		assert.Equal(t, fmt.Sprint(value), documented[limit], "docs/security.md: %s", limit)
	}
}
