// Package published keeps copies of a peer's originals from session to session, as twisted.spread.publish does.
package published
