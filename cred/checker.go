package cred

import "context"

// Checker decides whether credentials are good and whose they are. It is called by many logins at a time.
type Checker interface {
	// Accepts says whether this checker can check that kind of credentials. It is asked at every login, before
	// anything is looked up.
	Accepts(kind Kind) bool
	// Check returns the avatar id of whoever the credentials belong to. Otherwise it returns [Refuse] where they
	// are not good and [Fault] where it could not find out; any other error is taken for a fault of the store.
	Check(ctx context.Context, credentials Credentials) (AvatarID, error)
}

// Only restricts a checker to some of the kinds that it accepts, for a portal in which another checker is to
// check the rest.
func Only(checker Checker, kinds ...Kind) Checker { return only{checker, kinds} }

type only struct {
	Checker
	kinds []Kind
}

// Accepts implements Checker.
func (o only) Accepts(kind Kind) bool {
	for _, k := range o.kinds {
		if k == kind {
			return o.Checker.Accepts(kind)
		}
	}
	return false
}

// AllowAnonymous is the checker that lets in everybody who presents [Anonymous], as [AnonymousID].
func AllowAnonymous() Checker { return anonymous{} }

type anonymous struct{}

func (anonymous) Accepts(kind Kind) bool { return kind == KindAnonymous }

func (anonymous) Check(_ context.Context, c Credentials) (AvatarID, error) {
	if _, ok := c.(Anonymous); !ok {
		return AvatarID{}, unhandled(c)
	}
	return AnonymousID(), nil
}

// unhandled is what a checker says of credentials that it should not have been asked about.
func unhandled(c Credentials) *Refused {
	return Refuse(ReasonUnhandled, "the checker cannot check %T", c)
}
