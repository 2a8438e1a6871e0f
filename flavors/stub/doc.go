// Package stub is what code made by pb gen has in common: it binds the arguments of a call to the parameters of a
// method, and checks their types before the method runs. Applications use the generated types rather than this package.
//
// The rules are those of package flavors for methods that are called by reflection. They are stricter for objects:
// where a parameter names a class of copies, only an instance of that class is accepted, not a dictionary with the same
// fields and not None. Where it names an interface, only a reference is accepted.
package stub
