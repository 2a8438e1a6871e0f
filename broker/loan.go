package broker

import (
	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/internal/command"
)

// loan is a read buffer that was given away with a string in it, see flavors.Lent. It implements seam.Loan.
type loan struct {
	buffer  []byte
	account *flow.Account
	counted int // bytes of it that the account counts
}

// GiveBack implements seam.Loan.
func (l *loan) GiveBack() {
	l.Lost()
	poison(l.buffer)
	netio.PutBuffer(l.buffer)
}

// Lost implements seam.Loan.
func (l *loan) Lost() { l.account.Keep(-l.counted) }

// lend lends the long string of the last command to a method, or a caller, that wants that. The string is part of the
// buffer, which nothing else uses.
func (r *frameReader) lend(buffer []byte, from int) {
	cmd := &r.out.commands[len(r.out.commands)-1]
	if cmd.err != nil || len(cmd.unbound) > 0 {
		return
	}
	switch cmd.Name {
	case command.Message:
		r.lendArgument(cmd, buffer, from)
	case command.Answer:
		r.lendResult(cmd, buffer, from)
	}
}

// lendArgument lends an argument until the call has been answered. The call is counted until then.
func (r *frameReader) lendArgument(cmd *incoming, buffer []byte, from int) {
	known := r.c.directMethods.Load().find(&cmd.Command)
	if known != nil && known.lend != nil && cmd.tuple && cmd.noKw {
		known.lend(cmd, from, &loan{buffer: buffer, account: r.c.account})
	}
}

// lendResult lends a result until the caller releases it.
func (r *frameReader) lendResult(cmd *incoming, buffer []byte, from int) {
	b, ok := cmd.value.([]byte)
	if !ok || len(b) < from || cmd.ID.Big != nil || !internal.WantsLent(r.c.directResults.Load().find(cmd.ID.Int)) {
		return
	}
	l := &loan{buffer: buffer, account: r.c.account, counted: cap(buffer)}
	l.account.Keep(l.counted)
	cmd.value = internal.LendResult(b, l)
}
