// Package docscheck tests the documentation against the repository. Its tests fail if a clause of docs/protocol.md has
// no test, the example in README.md does not compile, a link is broken, or a repository rule that no linter checks is
// violated. It contains only tests.
package docscheck
