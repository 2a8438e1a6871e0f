//go:build race

package systems

const raceDetector = true
