// Package report defines the result of a comparison: rows of figures and the machine that they were measured on. It
// writes them as JSON and as tables, which also compare the systems and list which targets were met.
package report
