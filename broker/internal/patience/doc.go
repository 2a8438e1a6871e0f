// Package patience measures how long a peer is waited for, without the time in which this process did not run.
//
// A process that is stopped (SIGSTOP, a frozen container, a suspended virtual machine) finds its deadlines passed when
// it goes on, although the peer has done its part and the bytes wait in the kernel. So a wait is cut into [Steps]
// steps. A step that ends much later than it should shows that the process did not run, and is not counted. The clock
// is the monotonic one, which nobody can set. On Linux it stands still while the machine is suspended; there a
// suspension is not even seen.
package patience
