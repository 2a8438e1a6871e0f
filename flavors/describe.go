package flavors

// MethodInfo describes a method to people.
type MethodInfo struct {
	// Name is the name on the wire.
	Name string
	// Signature is the method in a notation like that of Python: order(article: str, n: int) -> float.
	Signature string
	// Doc says what the method does.
	Doc string
}

// Describer is implemented by objects that describe their methods, for peers that ask. Without it, only what reflection
// finds is described. DescribeMethods is called on the object, in the turn of another one, so it must not read what
// the object's methods change. What code made by pb gen serves has the method.
type Describer interface {
	DescribeMethods(p Prefix) []MethodInfo
}
