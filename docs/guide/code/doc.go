// Package code has the code that the pages in docs/guide show, and tests that run it. The parts between the lines
// guide:begin and guide:end are copied to the pages by
//
//	go test ./internal/docscheck -run TestGuideSnippets -update-guide
//
// and a test requires that page and code are equal. Python programs run on stock Twisted.
package code
