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
)

// TestDocumentedLimits compares the table in docs/security.md with the constants.
func TestDocumentedLimits(t *testing.T) {
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
		"values in each other":                            jelly.DefaultNesting,
		"bytes of a failure's text, and of its traceback": flavors.MaxFailureText,
		"Banana lists in each other":                      banana.DefaultDepth,
		"bytes of a frame":                                banana.DefaultFrame,
		"exported objects of a connection":                broker.DefaultExports,
		"cached objects of a connection":                  broker.DefaultCaches,
		"objects of a peer's that are held, and mentions of such in one message":          broker.DefaultImports,
		"bytes of a message before credentials were accepted":                             broker.DefaultFrameBeforeLogin,
		"bytes of one published state kept on the disk":                                   flavors.DefaultMaxPublishedState,
		"published states kept in a directory":                                            flavors.DefaultMaxPublishedFiles,
		"calls under way, each direction":                                                 broker.DefaultCalls,
		"bytes of unanswered calls of a connection":                                       broker.DefaultBytesIn,
		"bytes unanswered, unwritten or received in part on all connections of a runtime": broker.DefaultTotal,
		"bytes of pages kept by a PageReader":                                             flavors.DefaultPageBuffer,
		"bytes of pages kept by GetAllPages, not to be changed":                           flavors.MaxPagesKept,
		"bytes waiting to be written before our own calls wait":                           broker.DefaultHighWater,
		"bytes waiting to be written before reading pauses":                               broker.DefaultPauseWater,
		"time to agree on profile and version":                                            broker.DefaultHandshake,
		"time without progress of a write":                                                broker.DefaultStall,
		"time that a Cacheable may take to give its state":                                broker.DefaultStateTimeout,
		"time that a released object stays known for answers under way":                   broker.DefaultGrace,
		"time without a login":                                                            broker.DefaultLoginDeadline,
		"logins under way on a connection":                                                broker.DefaultLoginsAtOnce,
		"users who are in by way of a connection":                                         broker.DefaultSessions,
		"challenges that a connection holds besides":                                      broker.DefaultSessions,
	} {
		assert.Equal(t, fmt.Sprint(value), documented[limit], "docs/security.md: %s", limit)
	}
}
