// Package cred decides who may log in. It knows nothing about networks. Its terms are those of Twisted's cred:
//
// A [Portal] performs logins. A user presents [Credentials]. The portal asks the [Checker] for this kind of
// credentials, which returns an [AvatarID], and then asks its [Realm] for that user's avatar: the object that the user
// will call. The mind represents the user's side. The result is a [Session], which ends with Logout.
//
//	portal, err := cred.NewPortal(realm, users, cred.AllowAnonymous())
//	session, err := portal.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, mind)
//	defer session.Logout()
//	avatar := session.Avatar()
//
// # Stored passwords
//
// Perspective Broker's own login never sends the password. The server sends a challenge, and the client answers
// md5(md5(password) + challenge); see [Respond]. To check the answer, the server must store the password or its
// unsalted md5, and anyone who steals that md5 can log in with it:
//
//	stored as                          ChallengeResponse   UsernamePassword
//	Plaintext, MD5                     yes                 yes
//	sha1, ssha1, apr1                  no                  yes
//	bcrypt, argon2id                   no                  yes
//	LDAP bind                          no                  yes
//
// A checker without any entry that can check a [ChallengeResponse] does not accept that kind, so it is refused before
// any lookup. [UsernamePassword] can be checked against every entry and must only be sent over an encrypted connection.
// Stock Twisted peers do not know it.
//
// # Checkers
//
// This package has [InMemory], [PasswordFile] (Twisted's FilePasswordDB and Apache's htpasswd), [SQL],
// [ClientCertificates], [UnixPeers] and [AllowAnonymous]. LDAP, and SQL with its drivers, have modules of their own,
// cred/ldapstore and cred/sqlstore, so that other users do not depend on them.
//
// # Security
//
// Every refusal is a [*Refused] with the same text. Its methods return the reason, for the log. A peer learns neither
// whether a user exists nor whether the store is down.
//
// For an unknown user, another user's entry is checked, so it costs the same work as a wrong password. Passwords are
// compared in constant time. Equal response times are promised for the hashes only, not for a database or a directory.
//
// The work of hashing is bounded: by the length of names and passwords, by the cost of a stored hash ([HashLimits]),
// and by the number of hashes computed at a time ([Hasher]). [Throttle] slows down guessing.
//
// No verb prints a [Secret]. Panics of checkers, realms and logout functions are recovered.
//
// The package does not check the strength of passwords, lock accounts or support a second factor. Your own checker can.
package cred
