package misuse_test

import (
	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/perspectivebroker/pb/supervision"
)

type copied struct {
	flavors.Copyable
	N int `pb:"n"`
}

type whole struct{}

func (*whole) SetElements([]any) error { return nil }

type cached struct{ flavors.RemoteCache }

type kept struct{ published.Remote }

type object struct{ flavors.Root }

func (*object) RemotePing() string { return "pong" }

type avatar struct{ flavors.Avatar }

type mind = *flavors.RemoteReference

// types has pointers to all public types that have methods or can be printed.
func types() []any {
	return []any{
		new(
			actor.Deferred,
		), new(actor.Dispatcher), new(actor.Mailbox), new(actor.PanicError), new(actor.Phase), new(actor.Result),
		new(actor.Runtime), new(actor.StillRunningError),

		new(
			supervision.Backoff,
		), new(supervision.Branch), new(supervision.Decision), new(supervision.Lease), new(supervision.Leases),
		new(supervision.Limit), new(supervision.Tree),

		new(
			flavors.Answer,
		), new(flavors.Avatar), new(flavors.Cacheable), new(flavors.Cached[cached]), new(flavors.Copyable),
		new(flavors.Exception),
		new(
			flavors.Failure,
		), new(flavors.Forwarder), new(flavors.Invocation), new(flavors.Kw),
		new(flavors.Message), new(flavors.MethodSet), new(flavors.MethodTable),
		new(flavors.Observer), new(flavors.Observers),
		new(
			paging.Collector,
		), new(paging.Reader), new(paging.Writer), new(flavors.Prefix), new(published.Publishable),
		new(
			published.Dir,
		), new(published.Key), new(flavors.Referenceable), new(flavors.RemoteCache), new(published.Remote),
		new(
			flavors.RemoteReference,
		), new(flavors.Root), new(flavors.ViewPoint), new(flavors.Viewable),

		new(
			broker.Calls,
		), new(broker.CloseReason), new(broker.Conn), new(broker.ConnStats), new(broker.Limits),
		new(broker.Listener), new(broker.ConnInfo), new(inspect.Server), new(inspect.Snapshot),
		new(
			broker.PipeListener,
		), new(broker.ProtocolError), new(broker.Rejection), new(broker.ReconnectingClient[any]), new(broker.PortalRoot),
		new(broker.RuntimeStats),
		new(broker.SessionDown[any]), new(broker.SessionUp[any]), new(broker.Stats),

		new(cred.Anonymous), new(cred.Argon2idParams), new(cred.Attempt), new(cred.AvatarID),
		new(cred.Bearer[mind, *avatar]),
		new(
			cred.CertificateRule,
		), new(cred.ChallengeResponse), new(cred.ClientCertificate), new(cred.ClientCertificates), new(cred.Column),
		new(
			cred.ColumnOption,
		), new(cred.HashLimits), new(cred.Hasher), new(cred.Identities[mind, *avatar]),
		new(cred.InMemory), new(cred.Key),
		new(
			cred.Kind,
		), new(cred.LoggerOption), new(cred.PasswordFile), new(cred.Portal[mind, *avatar]), new(cred.RealmFunc[mind,
			*avatar]),
		new(
			cred.Reason,
		), new(cred.Refused), new(cred.SQL), new(cred.Scheme), new(cred.Secret),
		new(cred.ServiceFunc[mind, *avatar]),
		new(
			cred.Session[*avatar],
		), new(cred.Throttle), new(cred.UnixPeer), new(cred.UnixPeers), new(cred.UnixRule),
		new(cred.UsernamePassword),

		new(
			jelly.AssignError,
		), new(jelly.Assigner), new(jelly.Class), new(jelly.ClassEntry), new(jelly.ClassKind), new(jelly.Context),
		new(
			jelly.Date,
		), new(jelly.Decimal), new(jelly.DecodeError), new(jelly.Decoder), new(jelly.Dict), new(jelly.EncodeError),
		new(
			jelly.Encoder,
		), new(jelly.Entry), new(jelly.Field), new(jelly.Fragment), new(jelly.FrozenSet), new(jelly.Function),
		new(
			jelly.InsecureJellyError,
		), new(jelly.Instance), new(jelly.Mention), new(jelly.Method), new(jelly.Module), new(jelly.PanicError),
		new(
			jelly.Persistent,
		), new(jelly.Registry), new(jelly.SecurityOptions), new(jelly.Set), new(jelly.TimeOfDay),
		new(jelly.Timedelta),
		new(jelly.Tuple), new(jelly.Unbound), new(jelly.UnjellyError), new(jelly.Unpersistable),

		new(
			banana.EncodeError,
		), new(banana.Kind), new(banana.Limit), new(banana.LimitError), new(banana.Limits),
		new(banana.NegotiationError),
		new(
			banana.Profile,
		), new(banana.Reader), new(banana.Scanner), new(banana.Symbol), new(banana.SyntaxError), new(banana.Token),
		new(banana.TruncatedError),
	}
}

// functions has all public functions.
func functions() map[string]any {
	return map[string]any{
		"actor.NewRuntime": actor.NewRuntime, "actor.Adopt": actor.Adopt, "actor.NewDeferred": actor.NewDeferred,
		"actor.Succeeded": actor.Succeeded, "actor.Failed": actor.Failed, "actor.All": actor.All,
		"actor.Inner":      actor.Inner,
		"actor.NewMailbox": actor.NewMailbox,

		"supervision.TreeOf": supervision.TreeOf, "supervision.LeasesOf": supervision.LeasesOf,
		"supervision.BackoffStrategy":    supervision.BackoffStrategy,
		"supervision.PersistentStrategy": supervision.PersistentStrategy,
		"supervision.RestartStrategy":    supervision.RestartStrategy,
		"supervision.ResumeStrategy":     supervision.ResumeStrategy,
		"supervision.StopStrategy":       supervision.StopStrategy,

		"published.WhenActivated": published.WhenActivated[kept],
		"flavors.Call":            flavors.Call[int], "flavors.CallInOrder": flavors.CallInOrder[int],
		"flavors.FailureFrom": flavors.FailureFrom,
		"flavors.Forward":     flavors.Forward,
		"flavors.Follow":      flavors.Follow, "flavors.EndReference": flavors.EndReference, "flavors.Retain": flavors.Retain,
		"flavors.PassesOn": flavors.PassesOn, "flavors.TakeBack": flavors.TakeBack,
		"flavors.TakeBackFrom": flavors.TakeBackFrom,
		"paging.GetAll":        paging.GetAll, "flavors.IsRemote": flavors.IsRemote, "flavors.Link": flavors.Link,
		"flavors.NewException": flavors.NewException,
		"paging.FromReader":    paging.FromReader,
		"paging.NewCollector":  paging.NewCollector,
		"paging.NewReader":     paging.NewReader,
		"paging.NewWriter":     paging.NewWriter, "published.NewDir": published.NewDir,
		"paging.FromBytes":     paging.FromBytes,
		"flavors.NewViewPoint": flavors.NewViewPoint, "paging.Open": paging.Open,
		"flavors.RegisterCache": flavors.RegisterCache[cached, *cached],
		"flavors.RegisterCacheFactory": flavors.RegisterCacheFactory[cached,
			*cached], "flavors.RegisterCopy": flavors.RegisterCopy[copied],
		"flavors.OutgoingMetadata": flavors.OutgoingMetadata, "flavors.IncomingMetadata": flavors.IncomingMetadata,
		"flavors.TraceID": flavors.TraceID, "flavors.WhenDone": flavors.WhenDone,
		"flavors.As": flavors.As[int], "flavors.Start": flavors.Start, "flavors.Send": flavors.Send,
		"flavors.Begin":               flavors.Begin,
		"flavors.RegisterReference":   flavors.RegisterReference,
		"flavors.RegisterElements":    flavors.RegisterElements[whole, *whole],
		"flavors.RegisterCopyFactory": flavors.RegisterCopyFactory[copied],
		"published.Register":          published.Register[kept, *kept],
		"paging.Send":                 paging.Send, "flavors.Spawn": flavors.Spawn,
		"flavors.TableOf": flavors.TableOf, "flavors.Describe": flavors.Describe,
		"published.WhenReady": published.WhenReady, "flavors.Methods": flavors.Methods,

		"broker.NewClientConn": broker.NewClientConn, "broker.Dial": broker.Dial, "broker.Listen": broker.Listen,
		"broker.Reconnect": broker.Reconnect[any], "broker.ConnOf": broker.ConnOf,
		"broker.ListenOn": broker.ListenOn, "broker.StatsOf": broker.StatsOf, "broker.Revoke": broker.Revoke,
		"broker.ConnsOf": broker.ConnsOf, "broker.ListenersOf": broker.ListenersOf,
		"inspect.Handler": inspect.Handler, "inspect.Listen": inspect.Listen,
		"broker.NewPipeListener": broker.NewPipeListener,
		"broker.LoginRoot":       broker.LoginRoot[*avatar], "broker.Login": broker.Login[*avatar],
		"broker.IdentityRoot": broker.IdentityRoot[*avatar],

		"cred.CanAnswer": cred.CanAnswer, "cred.NewChallenge": cred.NewChallenge, "cred.Respond": cred.Respond,
		"cred.NewPortal": cred.NewPortal[mind, *avatar],
		"cred.Only":      cred.Only, "cred.AllowAnonymous": cred.AllowAnonymous,
		"cred.NewInMemory":     cred.NewInMemory,
		"cred.NewSQL":          cred.NewSQL,
		"cred.NewPasswordFile": cred.NewPasswordFile, "cred.NewHtpasswd": cred.NewHtpasswd,
		"cred.NewHasher":   cred.NewHasher,
		"cred.NewThrottle": cred.NewThrottle, "cred.NewClientCertificates": cred.NewClientCertificates,
		"cred.NewUnixPeers": cred.NewUnixPeers,
		"cred.NewIdentities": cred.NewIdentities[mind,
			*avatar], "cred.VerifiedCertificate": cred.VerifiedCertificate, "cred.ParseEntry": cred.ParseEntry,
		"cred.RefuseOpenly": cred.RefuseOpenly, "cred.AnonymousByName": cred.AnonymousByName,
		"cred.Refuse": cred.Refuse, "cred.Fault": cred.Fault,

		"jelly.Assign": jelly.Assign, "jelly.AssignInstances": jelly.AssignInstances,
		"jelly.AssignFields": jelly.AssignFields, "jelly.Unjelly": jelly.Unjelly, "jelly.Mentions": jelly.Mentions,
		"jelly.Format": jelly.Format, "jelly.TypeName": jelly.TypeName, "jelly.NewFragment": jelly.NewFragment,
		"jelly.NewDict": jelly.NewDict, "jelly.NewRegistry": jelly.NewRegistry,
		"jelly.NewRegistryOver":    jelly.NewRegistryOver,
		"jelly.NewSecurityOptions": jelly.NewSecurityOptions,
		"jelly.Fields":             jelly.Fields, "jelly.AssignerFor": jelly.AssignerFor,

		"banana.AppendBig": banana.AppendBig, "banana.AppendExpr": banana.AppendExpr,
		"banana.EncodeExpr":  banana.EncodeExpr,
		"banana.Format":      banana.Format,
		"banana.FormatFrame": banana.FormatFrame, "banana.ParseChoice": banana.ParseChoice,
		"banana.ChooseProfile": banana.ChooseProfile,
	}
}

// harmless are the functions that may succeed with zero arguments, and why.
var harmless = map[string]string{
	"actor.NewRuntime":           "it needs nothing",
	"published.NewDir":           "",
	"cred.NewInMemory":           "a store without users",
	"cred.NewClientCertificates": "rules are all that it has",
	"cred.NewUnixPeers":          "",
	"jelly.Fields":               "what is no struct has no fields",
	"jelly.Unjelly":              "nothing is to be made",
	"jelly.Assign":               "",
	"banana.AppendExpr":          "nil is None",
	"banana.EncodeExpr":          "nil is None",
}

// handles are the types of which a failed function returns a nil pointer.
var handles = map[string]bool{
	"actor.Deferred": true, "actor.Runtime": true, "actor.PanicError": true, "actor.StillRunningError": true,
	"supervision.Lease": true, "supervision.Leases": true, "supervision.Tree": true,
	"flavors.Cached": true, "flavors.Exception": true, "flavors.Failure": true, "flavors.Invocation": true,
	"flavors.MethodTable": true,
	"paging.Reader":       true, "paging.Writer": true, "published.Dir": true, "flavors.RemoteReference": true,
	"flavors.ViewPoint": true,
	"inspect.Server":    true, "broker.Conn": true, "broker.Listener": true, "broker.PipeListener": true,
	"broker.ProtocolError":      true,
	"broker.ReconnectingClient": true,
	"cred.Portal":               true, "cred.Session": true, "cred.Bearer": true, "cred.Throttle": true,
	"cred.Attempt":   true,
	"jelly.Registry": true, "jelly.SecurityOptions": true,
}

// exceptions are the methods and types that the tests do not call, and why.
var exceptions = map[string]string{
	// Called by jelly with a valid Encoder.
	"flavors.Avatar.JellyTo": "", "flavors.Cacheable.JellyTo": "", "flavors.Cached.JellyTo": "",
	"flavors.Copyable.JellyTo": "",
	"flavors.Failure.JellyTo":  "", "flavors.Forwarder.JellyTo": "",
	"paging.Collector.JellyTo":      "",
	"published.Publishable.JellyTo": "", "flavors.Referenceable.JellyTo": "",
	"flavors.RemoteReference.JellyTo": "",
	"flavors.Root.JellyTo":            "",
	"flavors.ViewPoint.JellyTo":       "", "flavors.Viewable.JellyTo": "",
	// For package broker.

	"flavors.Invocation.WantsAnswer": "", "flavors.Invocation.RequestID": "",
	"flavors.Invocation.Perspective": "",
	"flavors.Invocation.Conn":        "",
	"flavors.Invocation.Drop":        "", "flavors.Invocation.Failed": "", "flavors.Invocation.GetAutoResponse": "",
	"flavors.Invocation.String": "",
	"flavors.Invocation.Enter":  "", "flavors.Invocation.Leave": "",
	// Called by the actor system.
	"actor.Mailbox.Terminate": "", "actor.Mailbox.Lend": "",
	// Called by a Deferred's owner.
	"actor.Deferred.Init": "", "actor.Deferred.Reset": "",
}
