// Package longbuf pools buffers for long byte strings: copies of those that are sent, and those that were read into a
// buffer of their own. Their sizes are close together, so that hardly any memory is wasted.
package longbuf
