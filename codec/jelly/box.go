package jelly

import "bytes"

// The decoder stores values in slots of type any. For anything but the smallest
// integers that takes an allocation; what is here avoids some of them.

var (
	emptyBytes  any = []byte{}
	emptyString any = ""
)

// boxBytes returns a []byte as a value.
func (d *Decoder) boxBytes(b []byte) any {
	switch {
	case len(b) == 0:
		return emptyBytes
	case d.Alias:
		return b
	}
	return bytes.Clone(b)
}

// stringCache remembers short strings that were seen lately: the keys of
// dictionaries mostly, which come again in every message. Strings never change, so
// all messages may have the same.
type stringCache [128]any

// The longest string that is remembered.
const cachedString = 32

func (c *stringCache) box(b []byte) any {
	if len(b) == 0 {
		return emptyString
	}
	if len(b) > cachedString {
		return string(b)
	}
	h := uint32(2166136261)
	for _, x := range b {
		h = (h ^ uint32(x)) * 16777619
	}
	place := &c[(h^h>>15)%uint32(len(c))]
	if s, ok := (*place).(string); ok && s == string(b) {
		return *place
	}
	v := any(string(b))
	*place = v
	return v
}
