package flavors

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/require"
)

// buffer lends a byte string, and overwrites it when it is given back.
type buffer struct {
	bytes []byte
	back  int
}

// GiveBack implements seam.Loan.
func (b *buffer) GiveBack() {
	b.back++
	for i := range b.bytes {
		b.bytes[i] = 0xdd
	}
}

// Lost implements seam.Loan.
func (b *buffer) Lost() { b.back++ }

// modelLent is a Lent, and what is to be true of it.
type modelLent struct {
	lent     *Lent
	loan     *buffer // nil for memory of the application's
	all      []byte  // the bytes, which somebody has kept
	want     []byte
	released bool // by its user
	owned    bool // until it is released
	called   bool // it is the argument of a call that is not answered
	messages int  // that have the bytes and are not written
}

func (m *modelLent) over() bool { return !m.owned && !m.called && m.messages == 0 }

func (m *modelLent) check(t *testing.T) {
	if m.released || m.over() {
		require.Nil(t, m.lent.Bytes())
	} else {
		require.True(t, bytes.Equal(m.want, m.lent.Bytes()))
	}
	done := false
	select {
	case <-m.lent.Done():
		done = true
	default:
	}
	require.Equal(t, m.over(), done)
	if m.loan == nil || !m.over() {
		require.True(t, bytes.Equal(m.want, m.all), "the bytes were overwritten while somebody may use them")
	}
	if m.loan != nil {
		require.Equal(t, map[bool]int{true: 1}[m.over()], m.loan.back)
	}
}

// lentMessage is a fragment with the bytes of a Lent, twice.
type lentMessage struct {
	fragment *jelly.Fragment
	of       *modelLent
	held     int // how often the fragment has the bytes themselves, not copies
}

// lentMachine carries out the operations of FuzzLent.
type lentMachine struct {
	t        *testing.T
	lent     []*modelLent
	messages []*lentMessage
}

// lend makes a Lent: the application's, a result or an argument.
func (s *lentMachine) lend(kind, size byte) {
	const long = 32 << 10 // Shorter strings are copied into a message.
	b := make([]byte, int(size))
	if size >= 128 {
		b = make([]byte, long+int(size))
	}
	for i := range b {
		b[i] = byte(i)*3 + size
	}
	m := &modelLent{all: b, want: bytes.Clone(b), owned: kind < 2, called: kind == 2}
	switch kind {
	case 0:
		m.lent = Lend(b)
	case 1:
		m.loan = &buffer{bytes: b}
		m.lent = export{}.LendResult(b, m.loan).(*Lent)
	default:
		m.loan = &buffer{bytes: b}
		m.lent = &Lent{bytes: b, loan: m.loan}
		m.lent.count.InitLent((*lentCount)(m.lent))
		m.lent.count.AwaitAnswer()
	}
	s.lent = append(s.lent, m)
}

// send encodes a Lent. One that is over cannot be sent, nor can what is beside it if bad is set.
func (s *lentMachine) send(m *modelLent, bad bool) {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	v := []any{m.lent, m.lent}
	if bad {
		v = append(v, func() {})
	}
	wasOver := m.over()
	err := f.Jelly(v)
	if wasOver {
		require.ErrorIs(s.t, err, DeadReference)
	}
	if wasOver || bad {
		require.Error(s.t, err)
		f.Free()
		return
	}
	require.NoError(s.t, err)
	sent := &lentMessage{fragment: f, of: m, held: f.Longs()}
	m.messages += sent.held
	s.messages = append(s.messages, sent)
}

// write ends a message: it is written, or dropped.
func (s *lentMachine) write(at int, dropped bool) {
	m := s.messages[at]
	s.messages = append(s.messages[:at], s.messages[at+1:]...)
	if !dropped {
		b, err := m.fragment.Append(nil, nil)
		require.NoError(s.t, err)
		require.GreaterOrEqual(s.t, bytes.Count(b, m.of.want), 2)
	}
	m.fragment.Free()
	m.of.messages -= m.held
}

// step carries out one operation.
func (s *lentMachine) step(op, arg byte) {
	if kind := op % 8; kind < 3 {
		s.lend(kind, arg)
		return
	} else if kind == 3 || kind == 4 {
		if len(s.messages) > 0 {
			s.write(int(arg)%len(s.messages), kind == 4)
		}
		return
	}
	if len(s.lent) == 0 {
		return
	}
	m := s.lent[int(arg)%len(s.lent)]
	switch op % 8 {
	case 5:
		m.lent.Release()
		m.released, m.owned = true, false
	case 6:
		s.send(m, op >= 128)
	default:
		if m.called {
			m.called = false
			m.lent.count.Answered()
		}
	}
}

// FuzzLent lends, releases once and again, sends before and after the end, and keeps slices. A buffer is given back
// once, when nobody may use it any more, and not before.
func FuzzLent(f *testing.F) {
	f.Add([]byte{0, 200, 6, 0, 5, 0, 5, 0, 6, 0, 3, 0, 4, 0, 6, 0})
	f.Add([]byte{1, 200, 6, 0, 134, 0, 5, 0, 3, 0, 5, 0})
	f.Add([]byte{2, 200, 5, 0, 6, 0, 7, 0, 4, 0, 7, 0, 6, 0})
	f.Add([]byte{0, 0, 1, 5, 2, 20, 6, 0, 6, 1, 6, 2, 5, 0, 5, 1, 5, 2, 7, 2, 3, 0, 3, 0, 3, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		s := &lentMachine{t: t}
		for ; len(program) > 1 && len(s.lent) < 20; program = program[2:] {
			s.step(program[0], program[1])
			for _, m := range s.lent {
				m.check(t)
			}
		}
		for len(s.messages) > 0 {
			s.write(0, false)
		}
		for _, m := range s.lent {
			m.check(t)
			runtime.KeepAlive(m.lent)
		}
	})
}
