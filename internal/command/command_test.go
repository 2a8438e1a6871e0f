package command

import (
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// long is the largest number that Banana carries.
var long = Number{Big: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), banana.MaxIntBits), big.NewInt(1))}

// goldenCommand is a command with its bytes.
type goldenCommand struct {
	name     string
	cmd      Command
	word     string
	values   string // appended by the test, in place of values
	pb, none string
	extended string // in dialect pb+1, for what the other dialects do not have
}

// texts returns the bytes by dialect.
func (g *goldenCommand) texts() map[banana.Profile]string {
	if g.extended != "" {
		return map[banana.Profile]string{banana.ProfilePB1: g.extended}
	}
	return map[banana.Profile]string{banana.ProfilePB: g.pb, banana.ProfilePB1: g.pb, banana.ProfileNone: g.none}
}

// golden has each command with its bytes: in dialects pb and none as Twisted 22.4 writes them.
var golden = []goldenCommand{
	{
		name: "version", cmd: Command{Name: Version, ID: Number{Int: 6}},
		pb: "0280 1387 0681", none: "0280 078276657273696f6e 0681",
	},
	{
		name: "didNotUnderstand", cmd: Command{Name: DidNotUnderstand}, word: "what",
		pb:   "0280 10826469644e6f74556e6465727374616e64 048277686174",
		none: "0280 10826469644e6f74556e6465727374616e64 048277686174",
	},
	{
		name: "message to a name", values: "0181 0281",
		cmd: Command{
			Name: Message, ID: Number{Int: 1}, Object: Object{Name: "root"}, Method: "add", WantsAnswer: true,
		},
		pb:   "0780 1a87 0181 0482726f6f74 0382616464 0181 0181 0281",
		none: "0780 07826d657373616765 0181 0482726f6f74 0382616464 0181 0181 0281",
	},
	{
		name: "message to an id, method in the vocabulary", values: "0181 0281",
		cmd:  Command{Name: Message, ID: Number{Int: 200}, Object: Object{ID: Number{Int: 9}}, Method: "login"},
		pb:   "0780 1a87 480181 0981 1487 0081 0181 0281",
		none: "0780 07826d657373616765 480181 0981 05826c6f67696e 0081 0181 0281",
	},
	{
		name: "message with long numbers", values: "0181 0281",
		cmd: Command{Name: Message, ID: long, Object: Object{ID: long}, Method: "m"},
		pb:  "0780 1a87 " + strings.Repeat("7f", 64) + "85 " + strings.Repeat("7f", 64) + "85 01826d 0081 0181 0281",
		none: "0780 07826d657373616765 " + strings.Repeat("7f", 64) + "85 " + strings.Repeat("7f", 64) +
			"85 01826d 0081 0181 0281",
	},
	{
		name: "cachemessage", values: "0181 0281",
		cmd:  Command{Name: CacheMessage, ID: Number{Int: 2}, Object: Object{ID: Number{Int: 9}}, Method: "add"},
		pb:   "0780 1987 0281 0981 0382616464 0081 0181 0281",
		none: "0780 0c8263616368656d657373616765 0281 0981 0382616464 0081 0181 0281",
	},
	{
		name: "answer", cmd: Command{Name: Answer, ID: Number{Int: 1}}, values: "2a81",
		pb: "0380 1b87 0181 2a81", none: "0380 0682616e73776572 0181 2a81",
	},
	{
		name: "answer to a negative id", cmd: Command{Name: Answer, ID: Number{Int: -1}}, values: "2a81",
		pb: "0380 1b87 0183 2a81", none: "0380 0682616e73776572 0183 2a81",
	},
	{
		name: "error", cmd: Command{Name: Error, ID: Number{Int: 1}}, values: "2a81",
		pb: "0380 1c87 0181 2a81", none: "0380 05826572726f72 0181 2a81",
	},
	{
		name: "decref", cmd: Command{Name: Decref, ID: Number{Int: 128}},
		pb: "0280 1d87 000181", none: "0280 0682646563726566 000181",
	},
	{
		name: "decache", cmd: Command{Name: Decache, ID: Number{Int: 3}},
		pb: "0280 1e87 0381", none: "0280 07826465636163686 50381",
	},
	{
		name: "uncache", cmd: Command{Name: Uncache, ID: Number{Int: 3}},
		pb: "0280 1f87 0381", none: "0280 0782756e6361636865 0381",
	},
	{
		name: "message with metadata", values: "0181 0281 0180 0587",
		cmd: Command{
			Name: Message, ID: Number{Int: 1}, Object: Object{Name: "root"}, Method: "add", WantsAnswer: true,
			HasMetadata: true,
		},
		extended: "0880 1a87 0181 0482726f6f74 0382616464 0181 0181 0281 0180 0587",
	},
	{
		name: "cachemessage with metadata", values: "0181 0281 0180 0587",
		cmd: Command{
			Name: CacheMessage, ID: Number{Int: 2}, Object: Object{ID: Number{Int: 9}}, Method: "add", HasMetadata: true,
		},
		extended: "0880 1987 0281 0981 0382616464 0081 0181 0281 0180 0587",
	},
	{
		name: "cancel", cmd: Command{Name: Cancel, ID: Number{Int: 128}},
		extended: "0280 0682" + hex.EncodeToString([]byte("cancel")) + " 000181",
	},
	{
		name: "cancel of a long id", cmd: Command{Name: Cancel, ID: long},
		extended: "0280 0682" + hex.EncodeToString([]byte("cancel")) + strings.Repeat("7f", 64) + "85",
	},
	{
		name: "message to a promise", values: "0181 0281",
		cmd: Command{
			Name: Message, ID: Number{Int: 2}, Object: Object{ID: Number{Int: 1}, Promise: true}, Method: "add",
			WantsAnswer: true,
		},
		extended: "0780 1a87 0281 0280 0782" + hex.EncodeToString([]byte("promise")) + " 0181 0382616464 0181 0181 0281",
	},
	{
		name: "message whose result is kept", values: "0181 0281",
		cmd: Command{
			Name: Message, ID: Number{Int: 1}, Object: Object{Name: "root"}, Method: "add", WantsAnswer: true, Keep: true,
		},
		extended: "0780 1a87 0181 0482726f6f74 0382616464 0281 0181 0281",
	},
	{
		name: "settled", cmd: Command{Name: Settled, ID: Number{Int: 128}},
		extended: "0280 0782" + hex.EncodeToString([]byte("settled")) + " 000181",
	},
	{
		name: "goaway", cmd: Command{Name: Goaway}, word: "bye",
		extended: "0280 0682" + hex.EncodeToString([]byte("goaway")) + " 0382627965",
	},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// appendCommand calls the append function of a command.
func appendCommand(dst []byte, p banana.Profile, cmd *Command, word string) []byte {
	switch cmd.Name {
	case Version:
		return AppendVersion(dst, p, cmd.ID.Int)
	case DidNotUnderstand:
		return AppendDidNotUnderstand(dst, p, word)
	case Message, CacheMessage:
		if p.IsExtended() {
			return AppendCall(dst, p, cmd)
		}
	}
	switch cmd.Name {
	case Message:
		return AppendMessage(dst, p, cmd.ID, cmd.Object, cmd.Method, cmd.WantsAnswer)
	case CacheMessage:
		return AppendCacheMessage(dst, p, cmd.ID, cmd.Object, cmd.Method, cmd.WantsAnswer)
	case Answer:
		return AppendAnswer(dst, p, cmd.ID)
	case Error:
		return AppendError(dst, p, cmd.ID)
	case Decref:
		return AppendDecref(dst, p, cmd.ID.Int)
	case Decache:
		return AppendDecache(dst, p, cmd.ID.Int)
	case Uncache:
		return AppendUncache(dst, p, cmd.ID.Int)
	case Cancel:
		return AppendCancel(dst, p, cmd.ID)
	case Goaway:
		return AppendGoaway(dst, p, word)
	case Settled:
		return AppendSettled(dst, p, cmd.ID)
	}
	return dst
}

// TestGolden reads and writes the golden bytes (P-4.1, P-4.2, P-4.3).
func TestGolden(t *testing.T) {
	seen := map[Name]bool{}
	for _, g := range golden {
		seen[g.cmd.Name] = true
		for p, text := range g.texts() {
			t.Run(g.name+", "+p.String(), func(t *testing.T) {
				frame, values := unhex(t, text), unhex(t, g.values)
				b := append(appendCommand(nil, p, &g.cmd, g.word), values...)
				assert.Equal(t, hex.EncodeToString(frame), hex.EncodeToString(b))

				var r Reader
				var in banana.Reader
				var cmd Command
				in.Reset(frame, p)
				require.NoError(t, r.Read(&in, &cmd))
				assert.Equal(t, g.cmd, cmd)
				if g.word != "" {
					word, err := ReadWord(&in)
					require.NoError(t, err)
					assert.Equal(t, g.word, word)
				}
				assert.Equal(t, values, append([]byte{}, in.Rest()...))
			})
		}
	}
	for n := range Name(len(forms)) {
		assert.True(t, n == Unknown || seen[n], "%v", n)
	}
}

func TestUnknownCommand(t *testing.T) {
	for text, want := range map[string]string{
		"0180 0582776f726c64":      "world",
		"0280 0582776f726c64 0181": "world",
		"0180 0887":                "list", // a word of the vocabulary
	} {
		var r Reader
		var in banana.Reader
		var cmd Command
		in.Reset(unhex(t, text), banana.ProfilePB)
		require.NoError(t, r.Read(&in, &cmd))
		assert.Equal(t, Command{}, cmd)
		word, err := ReadWord(&in)
		require.NoError(t, err)
		assert.Equal(t, want, word)
	}
}

func TestFormError(t *testing.T) {
	huge := strings.Repeat("7f", 65) + "85 "
	for text, want := range map[string]string{
		"0181":                     "command: a command is a list, not the integer 1",
		"0080":                     "command: an empty list is no command",
		"0180 0080":                "command: the name of a command is a string, not a list of 0",
		"0180 1387":                "command: [version …]: the list has 1 elements, not 2",
		"0380 1387 0681 0681":      "command: [version …]: the list has 3 elements, not 2",
		"0280 1387 0182 36":        `command: [version …]: version: want an integer, not the string "6"`,
		"0280 1d87 " + huge[2:]:    "command: [decref …]: id: want an integer below 2^63, not one of more than 64 bits",
		"0280 1d87 0080":           "command: [decref …]: id: want an integer, not a list of 0",
		"0380 1b87 " + huge + "00": "command: [answer …]: request id: want an integer of at most 448 bits",
		"0780 1a87 0181 84 0000000000000000 01826d 0181 0181 0181": "command: [message …]: object: " +
			"want an integer or a string, not a float",
		"0780 1a87 0181 0181 0181 0181 0181 0181": "command: [message …]: method: want a string, not the integer 1",
		"0780 1a87 0181 0181 01826d 0887 0181 0181": "command: [message …]: answerRequired: " +
			`want an integer, not the string "list"`,
		"0280 10826469644e6f74556e6465727374616e64 0181": "command: [didNotUnderstand …]: command: " +
			"want a string, not the integer 1",
		"0180 3282" + strings.Repeat("61", 50): "",
	} {
		var r Reader
		var in banana.Reader
		var cmd Command
		in.Reset(unhex(t, text), banana.ProfilePB)
		err := r.Read(&in, &cmd)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		var form *FormError
		require.ErrorAs(t, err, &form)
		require.EqualError(t, err, want)
	}
}

func TestTruncatedCommand(t *testing.T) {
	for _, g := range golden {
		frame := unhex(t, g.texts()[banana.ProfilePB1])
		for n := range len(frame) - len(unhex(t, g.values)) {
			var r Reader
			var in banana.Reader
			var cmd Command
			in.Reset(frame[:n], banana.ProfilePB1)
			assert.Error(t, r.Read(&in, &cmd), "%s, %d bytes", g.name, n)
		}
	}
}

// TestExtensionsNeedDialect reads what belongs to dialect pb+1 in the others: a new command is unknown, and a message
// with metadata is malformed.
func TestExtensionsNeedDialect(t *testing.T) {
	n := 0
	for _, g := range golden {
		if g.extended == "" || g.cmd.IsCall() && !g.cmd.HasMetadata {
			continue
		}
		n++
		for _, p := range []banana.Profile{banana.ProfilePB, banana.ProfileNone} {
			b := append(appendCommand(nil, banana.ProfilePB1, &g.cmd, g.word), unhex(t, g.values)...)
			if p == banana.ProfileNone && g.cmd.IsCall() {
				continue // Its name is a word of the vocabulary.
			}
			var r Reader
			var in banana.Reader
			var cmd Command
			in.Reset(b, p)
			err := r.Read(&in, &cmd)
			if g.cmd.IsCall() {
				require.EqualError(t, err, "command: ["+g.cmd.Name.String()+" …]: the list has 8 elements, not 7")
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, Unknown, cmd.Name)
			word, err := ReadWord(&in)
			require.NoError(t, err)
			assert.Equal(t, g.cmd.Name.String(), word)
		}
	}
	assert.NotZero(t, n)
}

// TestNamesAreKept reads more names than a Reader keeps.
func TestNamesAreKept(t *testing.T) {
	var r Reader
	for i := range 2 * maxNames {
		for _, method := range []string{strings.Repeat("m", i), "m"} {
			b := AppendMessage(nil, banana.ProfilePB, Number{}, Object{Name: method + "o"}, method, true)
			b = append(b, 0, 0x81, 0, 0x81)
			var in banana.Reader
			var cmd Command
			in.Reset(b, banana.ProfilePB)
			require.NoError(t, r.Read(&in, &cmd))
			require.Equal(t, method, cmd.Method)
			require.Equal(t, method+"o", cmd.Object.Name)
		}
	}
	assert.LessOrEqual(t, len(r.names), maxNames)
}

func TestNoAllocations(t *testing.T) {
	dst := make([]byte, 0, 1<<10)
	var r Reader
	var in banana.Reader
	var cmd Command
	for _, g := range golden {
		if g.cmd.ID.Big != nil {
			continue
		}
		for p, text := range g.texts() {
			frame := unhex(t, text)
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				dst = appendCommand(dst[:0], p, &g.cmd, g.word)
				in.Reset(frame, p)
				_ = r.Read(&in, &cmd)
			}), g.name)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	frame := unhex(b, golden[2].pb)
	var r Reader
	var in banana.Reader
	var cmd Command
	for b.Loop() {
		in.Reset(frame, banana.ProfilePB)
		if err := r.Read(&in, &cmd); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPromisesNeedDialect reads a request whose result may be named, and a call on a result, in dialect pb.
func TestPromisesNeedDialect(t *testing.T) {
	read := func(cmd Command) (got Command, err error) {
		var r Reader
		var in banana.Reader
		in.Reset(append(AppendCall(nil, banana.ProfilePB1, &cmd), 1, 0x81, 1, 0x81), banana.ProfilePB)
		return got, r.Read(&in, &got)
	}
	cmd, err := read(Command{Name: Message, Method: "m", Object: Object{Name: "root"}, WantsAnswer: true, Keep: true})
	require.NoError(t, err)
	assert.True(t, cmd.WantsAnswer)
	assert.False(t, cmd.Keep)
	_, err = read(Command{Name: Message, Method: "m", Object: Object{Promise: true}})
	require.EqualError(t, err, "command: [message …]: object: want an integer or a string, not a list of 2")
}

func TestBadPromises(t *testing.T) {
	for object, want := range map[string]string{
		"0280 1087 0181": "want [promise id], not a list that begins with the string \"remote\"",
		"0280 0782" + hex.EncodeToString([]byte("Promise")) + "0181": "want [promise id], " +
			`not a list that begins with the string "Promise"`,
		"0280 0782" + hex.EncodeToString([]byte("promise")) + "0182 31": `want an integer, not the string "1"`,
		"0180 0782" + hex.EncodeToString([]byte("promise")):             "want an integer or a string, not a list of 1",
		"0380 0782" + hex.EncodeToString([]byte("promise")) + "0181 01 81": "want an integer or a string, " +
			"not a list of 3",
	} {
		var r Reader
		var in banana.Reader
		var cmd Command
		in.Reset(unhex(t, "0780 1a87 0181 "+object+" 01826d 0181 0181 0281"), banana.ProfilePB1)
		err := r.Read(&in, &cmd)
		require.EqualError(t, err, "command: [message …]: object: "+want)
	}
}
