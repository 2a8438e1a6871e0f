//go:build !race

package scenarios

// buildFlags are for the programs that tests build.
var buildFlags []string

// raceEnabled is set in tests under the race detector.
const raceEnabled = false
