// Package ldapstore checks passwords against an LDAP directory. It is a module of its own, so that only those carry
// the LDAP client who use it.
//
//	checker, err := ldapstore.New("ldaps://ldap.example", "ou=people,dc=example,dc=org",
//		ldapstore.WithServiceAccount("cn=pb,dc=example,dc=org", password))
//	portal, err := cred.NewPortal(realm, checker)
//
// A login is two questions over one connection: a search for the user's entry, as the service account or
// anonymously, and a bind as that entry with the password that was given. The directory decides; its password
// policy holds. Since the password itself must be shown to the directory, [cred.UsernamePassword] is all that can
// be checked: the logins of stock Twisted cannot.
//
// # Security
//
// Passwords cross TLS (ldaps, or StartTLS) or a Unix socket (ldapi); New refuses ldap:// otherwise unless
// WithPlaintext says that it is meant. An empty password is refused before the directory is asked: to LDAP it
// would be an anonymous bind, which succeeds. Names are escaped in the filter.
//
// For an unknown user a bind is made all the same, as the decoy, so that the same is asked of the directory as for
// a wrong password. Whether the directory works as hard depends on the decoy: give it one that exists and has a
// password (WithDecoy), or it knows at once that there is none.
//
// Referrals are not followed.
package ldapstore
