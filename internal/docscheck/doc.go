// Package docscheck holds what the documents say against what the repository is: its tests fail when a clause of
// docs/protocol.md has no test, when README's example does not compile, when a link leads nowhere, or when a
// house rule that no linter knows was broken. It has no code of its own.
package docscheck
