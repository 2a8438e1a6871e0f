// Package cred decides who may enter, and knows nothing of networks. Its words are those of Twisted's cred:
//
// A [Portal] is where users come in. They present [Credentials]; the portal finds the [Checker] that accepts this
// kind of them, which answers with an [AvatarID]; then it asks its [Realm] for that user's avatar, the object that
// the user will talk to. The mind is what represents the user's side. What comes out is a [Session], which ends
// with Logout.
//
//	portal, err := cred.NewPortal(realm, users, cred.AllowAnonymous())
//	session, err := portal.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, mind)
//	defer session.Logout()
//	avatar := session.Avatar()
//
// # What can be checked against what
//
// Perspective Broker's own login never sends the password: the server sends a challenge, the client answers
// md5(md5(password) + challenge), which is [Respond]. To check that, the server must have the password or its
// unsalted md5, and that md5 is as good as the password to whoever steals it. So there are two worlds:
//
//	at rest                            ChallengeResponse   UsernamePassword
//	Plaintext, MD5                     yes                 yes
//	sha1, ssha1, apr1                  no                  yes
//	bcrypt, argon2id                   no                  yes
//	LDAP bind                          no                  yes
//
// A checker that could check a [ChallengeResponse] against none of its entries does not accept the kind: it is
// refused before any lookup. [UsernamePassword] can be checked against everything and must only ever cross an
// encrypted connection; stock Twisted peers do not know it.
//
// # Checkers
//
// [InMemory], [PasswordFile] (Twisted's FilePasswordDB and Apache's htpasswd), [SQL], [ClientCertificates],
// [UnixPeers] and [AllowAnonymous] are here; LDAP, and SQL with its drivers, are in modules of their own,
// cred/ldapstore and cred/sqlstore, so that nobody carries them who does not want them.
//
// # Security
//
// Every refusal is a [*Refused] with the same text. Why it was refused is in its methods, for the log. A peer
// learns neither whether a user exists nor whether our store is down.
//
// An unknown user costs the same work as a wrong password: in the place of the missing entry another user's is
// checked. Passwords are compared in constant time. Answering in the same time is promised for the work
// of the hashes; what a database or a directory does to find a user is its own affair.
//
// What is hashed is bounded: the length of names and passwords, the cost of a stored hash ([HashLimits]), and how
// many hashes are computed at a time ([Hasher]). [Throttle] slows down those who guess.
//
// A [Secret] is not printed by any verb. Panics of checkers, realms and logout functions do not leave the package.
//
// What it does not do: passwords are not checked for strength, accounts are not locked, and there is no second
// factor; a checker of one's own can do all three.
package cred
