// Package timer is for nodes that act between batches, such as at the end of a window. A node that imports this package
// exports the interface of wit/timer.wit, and must call Export.
package timer

import (
	"wattle"
	"wattle/internal/abi"
)

var tick func(tick *wattle.Tick) error

// Export sets the function that acts on the time. Call it in an init function. The agent calls it before the first batch,
// and then between two batches at the interval of Options.TickEvery. An error is a fault.
func Export(ticks func(tick *wattle.Tick) error) { tick = ticks }

//go:wasmexport wattle:node/timer@0.2.0#tick
func exportTick(now int64, last uint32) uint32 {
	defer abi.ReportPanic()
	err := tick(&wattle.Tick{Now: now, Last: last&1 == 1})
	abi.Begin()
	return abi.Failed(err)
}
