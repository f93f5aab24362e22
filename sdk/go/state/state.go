// Package state is for nodes that keep state between batches and pass it to their successor after a fault, a swap or a
// restart. A node that imports this package exports the interface of wit/state.wit, and must call Export.
package state

import "wattle/internal/abi"

// Snapshot is state at one moment, as bytes that only the node understands.
type Snapshot struct {
	// Version of the format of Bytes.
	Version uint32
	// Bytes are valid during the call only: copy bytes that you keep.
	Bytes []byte
}

var (
	version uint32
	save    func() []byte
	restore func(snapshots []Snapshot) error
)

// Export sets the functions that save and restore the state of the node. Call it in an init function.
//
// version is the version of the format that save writes. The agent calls restore before the first batch: usually with one
// snapshot, with several if fewer workers run than when the agent saved them, or if a canary ended. restore returns an
// error if it cannot read a snapshot.
func Export(formVersion uint32, saves func() []byte, restores func(snapshots []Snapshot) error) {
	version, save, restore = formVersion, saves, restores
}

//go:wasmexport wattle:node/state@0.2.0#version
func exportVersion() uint32 { return version }

//go:wasmexport wattle:node/state@0.2.0#save
func exportSave() uint32 {
	defer abi.ReportPanic()
	abi.Begin()
	bytes := save()
	return abi.Answered(append([]uint32{version}, abi.Bytes(bytes)...), bytes)
}

//go:wasmexport wattle:node/state@0.2.0#restore
func exportRestore(list, length uint32) uint32 {
	defer abi.ReportPanic()
	// Each snapshot is a version, an address and a length.
	words := abi.Given[uint32](list, 3*length)
	snapshots := make([]Snapshot, 0, length)
	for ; len(words) > 0; words = words[3:] {
		snapshots = append(snapshots, Snapshot{words[0], abi.Given[byte](words[1], words[2])})
	}
	err := restore(snapshots)
	abi.Begin()
	return abi.Failed(err)
}
