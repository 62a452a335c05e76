//go:build !race

package isolate

// instrumented says that the race detector is built in.
const instrumented = false
