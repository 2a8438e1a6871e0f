// Package paging sends values that are too large for one message, in pages, as twisted.spread.util does.
//
// The receiver passes a collector to the sender, in a call. The sender calls the collector's gotPage with each page and
// endedPaging after the last. A sender of this module calls pagingFailed if it ends early; a stock collector ignores
// that.
//
// # Receiving
//
//   - [Open] calls a method that sends pages and returns a [Reader] of their bytes.
//   - [GetAll] calls such a method and returns all pages, up to [MaxKept] bytes.
//   - [NewReader] and [NewCollector] make collectors to pass in any other way. A [Collector] passes each page to a
//     function.
//
// # Sending
//
//   - [Send] sends the pages of a [Pager]. It asks for no answers and goes as fast as the connection takes them.
//     [FromBytes] and [FromReader] make pagers.
//   - A [Writer] asks for an answer to each page. So it goes as fast as the collector takes them and learns of its
//     errors.
//
// A Reader of this module delays its answers while its buffer is full, so a Writer cannot overrun it. A stock pager
// asks for no answers. If it sends more than a Reader's buffer and a half ahead, reading fails.
package paging
