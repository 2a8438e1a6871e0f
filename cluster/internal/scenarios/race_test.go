//go:build race

package scenarios

// buildFlags are for the programs that tests build.
var buildFlags = []string{"-race"}

// raceEnabled is set in tests under the race detector.
const raceEnabled = true
