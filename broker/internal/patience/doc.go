// Package patience measures how long a peer has been waited for, without pauses of this process.
//
// A process that is stopped (SIGSTOP, a frozen container, a suspended virtual machine) finds its deadlines passed when
// it continues, although its peers were in time and their bytes wait in the kernel. So a wait is divided into [Steps]
// steps. A step that ends much later than planned shows that the process did not run, and does not count. The clock is
// the monotonic one, which cannot be set. On Linux it stops while the machine is suspended, so a suspension is not even
// noticed.
package patience
