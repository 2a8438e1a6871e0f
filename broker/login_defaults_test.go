package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocumentedLoginDefaults(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	o, err := newLoginOptions(nil)
	require.NoError(t, err)
	for limit, value := range map[string]any{
		"time without a login":              o.deadline,
		"concurrent logins of a connection": o.atOnce,
		"logged-in users of a connection":   o.sessions,
		"challenges held by a connection":   o.challenges,
		"bytes of a message before login":   o.frame,
	} {
		row := fmt.Sprintf("| %s | %v |", limit, value)
		require.Contains(t, strings.ReplaceAll(string(text), ",", ""), row)
	}
}
