package command

import "github.com/perspectivebroker/pb/codec/banana"

// The Append functions write a command in dialect p to the end of dst and return the longer slice. They allocate
// nothing but what dst takes to grow. The caller appends the values of a command that has any.

// AppendVersion writes [version n].
func AppendVersion(dst []byte, p banana.Profile, n int64) []byte {
	return banana.AppendInt(appendName(dst, p, Version), n)
}

// AppendDidNotUnderstand writes [didNotUnderstand command].
func AppendDidNotUnderstand(dst []byte, p banana.Profile, command string) []byte {
	return banana.AppendString(appendName(dst, p, DidNotUnderstand), p, command)
}

// AppendMessage writes a Message without metadata. The caller appends its arguments and keywords.
func AppendMessage(dst []byte, p banana.Profile, id Number, o Object, method string, wantsAnswer bool) []byte {
	return appendCall(appendName(dst, p, Message), p, id, o, method, wantsAnswer)
}

// AppendCacheMessage writes a CacheMessage without metadata. The caller appends its arguments and keywords.
func AppendCacheMessage(dst []byte, p banana.Profile, id Number, o Object, method string, wantsAnswer bool) []byte {
	return appendCall(appendName(dst, p, CacheMessage), p, id, o, method, wantsAnswer)
}

// AppendCall writes a command that IsCall, from its fields. The caller appends its arguments and keywords, and then the
// metadata if it has any.
func AppendCall(dst []byte, p banana.Profile, cmd *Command) []byte {
	n := len(call) // without metadata, but with the name
	if cmd.HasMetadata {
		n++
	}
	dst = appendHead(dst, p, cmd.Name, n)
	dst = appendTarget(dst, p, cmd.ID, cmd.Object, cmd.Method)
	switch {
	case cmd.Keep:
		return banana.AppendInt(dst, 2)
	case cmd.WantsAnswer:
		return banana.AppendInt(dst, 1)
	}
	return banana.AppendInt(dst, 0)
}

// AppendAnswer writes an Answer to the request with that id. The caller appends its result.
func AppendAnswer(dst []byte, p banana.Profile, id Number) []byte {
	return appendNumber(appendName(dst, p, Answer), id)
}

// AppendError writes an Error that answers the request with that id. The caller appends its failure.
func AppendError(dst []byte, p banana.Profile, id Number) []byte {
	return appendNumber(appendName(dst, p, Error), id)
}

// AppendDecref writes [decref id].
func AppendDecref(dst []byte, p banana.Profile, id int64) []byte {
	return banana.AppendInt(appendName(dst, p, Decref), id)
}

// AppendDecache writes [decache id].
func AppendDecache(dst []byte, p banana.Profile, id int64) []byte {
	return banana.AppendInt(appendName(dst, p, Decache), id)
}

// AppendUncache writes [uncache id].
func AppendUncache(dst []byte, p banana.Profile, id int64) []byte {
	return banana.AppendInt(appendName(dst, p, Uncache), id)
}

// AppendCancel writes [cancel id].
func AppendCancel(dst []byte, p banana.Profile, id Number) []byte {
	return appendNumber(appendName(dst, p, Cancel), id)
}

// AppendGoaway writes [goaway text].
func AppendGoaway(dst []byte, p banana.Profile, text string) []byte {
	return banana.AppendString(appendName(dst, p, Goaway), p, text)
}

// AppendSettled writes [settled id].
func AppendSettled(dst []byte, p banana.Profile, id Number) []byte {
	return appendNumber(appendName(dst, p, Settled), id)
}

// AppendPromise writes [promise id], which stands for a value in the arguments of a Message.
func AppendPromise(dst []byte, p banana.Profile, id int64) []byte {
	return banana.AppendInt(banana.AppendString(banana.AppendList(dst, 2), p, promiseWord), id)
}

// appendName writes the head of a command without metadata.
func appendName(dst []byte, p banana.Profile, n Name) []byte {
	elements := forms[n].elements
	size := 1 + len(elements)
	if elements[len(elements)-1].kind == metadata {
		size--
	}
	return appendHead(dst, p, n, size)
}

// appendHead writes the head of a list with size elements, and the name.
func appendHead(dst []byte, p banana.Profile, n Name, size int) []byte {
	form := &forms[n]
	switch {
	case form.symbol == 0:
		return banana.AppendString(banana.AppendList(dst, size), p, form.name)
	case p.HasVocabulary(): // in one step
		return append(dst, byte(size), byte(banana.List), byte(form.symbol), byte(banana.Vocab))
	}
	return banana.AppendSymbol(banana.AppendList(dst, size), p, form.symbol)
}

func appendCall(dst []byte, p banana.Profile, id Number, o Object, method string, wantsAnswer bool) []byte {
	dst = appendTarget(dst, p, id, o, method)
	if wantsAnswer {
		return banana.AppendInt(dst, 1)
	}
	return banana.AppendInt(dst, 0)
}

// appendTarget writes the elements of a call up to the method.
func appendTarget(dst []byte, p banana.Profile, id Number, o Object, method string) []byte {
	dst = appendNumber(dst, id)
	switch {
	case o.Promise:
		dst = appendNumber(banana.AppendString(banana.AppendList(dst, 2), p, promiseWord), o.ID)
	case o.Name != "":
		dst = banana.AppendString(dst, p, o.Name)
	default:
		dst = appendNumber(dst, o.ID)
	}
	return banana.AppendString(dst, p, method)
}

// appendNumber writes a number. One that is too large for Banana cannot have been read.
func appendNumber(dst []byte, n Number) []byte {
	if n.Big == nil {
		return banana.AppendInt(dst, n.Int)
	}
	dst, _ = banana.AppendBig(dst, n.Big)
	return dst
}
