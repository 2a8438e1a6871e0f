package cluster

import (
	"errors"

	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/flavors"
)

// Failures of calls to placed objects, on both sides of a connection.
var (
	// NodeLost fails a call whose node, or the connection to it, was lost before the answer came. The call may have been
	// carried out.
	NodeLost = flavors.NewException("perspectivebroker.NodeLost", flavors.ConnectionLost)
	// Unavailable fails a call that was not carried out: the object's node cannot be reached, no node offers its kind, or
	// placing the object took too long.
	Unavailable = flavors.NewException("perspectivebroker.Unavailable", flavors.PBError)
)

// Errors of Join.
var (
	// ErrNameTaken is the error of Join if there is another node of this name.
	ErrNameTaken = directory.ErrNameTaken
	// ErrCertificate is the error of Join if the certificate is not one of the node.
	ErrCertificate = errors.New("cluster: the certificate is not this node's")
	// ErrLeft is the error of a node that has left.
	ErrLeft = errors.New("cluster: the node has left the cluster")
)

// errClientGone is why a reference to a client's object ends although the link to the client's node does not.
var errClientGone = errors.New("cluster: the client has disconnected from its node")

// elsewhere is how a node answers that it does not own an object. The call was not carried out.
var elsewhere = flavors.NewException("perspectivebroker.cluster.Elsewhere", Unavailable)
