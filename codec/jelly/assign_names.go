package jelly

import (
	"fmt"
	"math/big"
	"time"
)

// TypeName returns what Python calls the type of a decoded value, and the Go type of any other: it is for errors that
// go to a peer.
func TypeName(v any) string { return pythonName(v) }

// pythonName returns what Python calls the type of a decoded value, because the error goes
// to the peer. What Python does not know has its Go type.
func pythonName(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64, int, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case []any:
		return "list"
	case Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *Set:
		return "set"
	case *FrozenSet:
		return "frozenset"
	case time.Time:
		return "datetime"
	case time.Duration, Timedelta:
		return "timedelta"
	case Date:
		return "date"
	case TimeOfDay:
		return "time"
	case *Decimal:
		return "Decimal"
	case *Instance:
		return printable(x.Class)
	case *Unbound:
		return printable(x.Tag)
	}
	return fmt.Sprintf("%T", v)
}
