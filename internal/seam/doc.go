// Package seam holds what this module's packages share and users do not see: the types that package flavors and package
// broker work on together, and the token with which one package asks another for more than users get.
package seam

// Token is required by exports that only this module's packages may use. Other modules can neither name nor make one.
type Token struct{ _ byte }
