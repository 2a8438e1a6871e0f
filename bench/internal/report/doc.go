// Package report is what a comparison leaves behind: rows of numbers with the machine they were measured on, as JSON, and tables for
// people, in which the systems are compared with each other and the targets with what was reached.
package report
