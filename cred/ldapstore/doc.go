// Package ldapstore checks passwords against an LDAP directory. It is a module of its own, so that other users do not
// depend on the LDAP client.
//
//	checker, err := ldapstore.New("ldaps://ldap.example", "ou=people,dc=example,dc=org",
//		ldapstore.WithServiceAccount("cn=pb,dc=example,dc=org", password))
//	portal, err := cred.NewPortal(realm, checker)
//
// A login makes two requests over one connection: a search for the user's entry, as the service account or anonymously,
// and a bind as that entry with the password. The directory decides, so its password policy applies. The directory
// needs the password itself, so only [cred.UsernamePassword] can be checked, and logins of stock Twisted cannot.
//
// # Security
//
// Passwords are sent over TLS (ldaps or StartTLS) or a Unix socket (ldapi). New refuses ldap:// otherwise, unless
// WithPlaintext allows it. An empty password is refused without asking the directory, because it would make an
// anonymous bind, which succeeds. Names are escaped in the filter.
//
// For an unknown user, the checker binds as the decoy, so that the directory gets the same requests as for a wrong
// password. The work is only equal if the decoy exists and has a password: see WithDecoy.
//
// Referrals are not followed.
package ldapstore
