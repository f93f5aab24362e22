// Package state is for nodes that keep state between batches, and hand it to their successor: after a fault, a swap or a
// restart. A node that imports this package exports the interface of wit/state.wit, and must call Export.
package state

import "wattle/internal/abi"

// Snapshot is state at one moment, as only the node understands it.
type Snapshot struct {
	// Version of the format of Bytes.
	Version uint32
	// Bytes are memory of the call: copy bytes that you keep.
	Bytes []byte
}

var (
	version uint32
	save    func() []byte
	restore func(snapshots []Snapshot) error
)

// Export says how the node of this component saves and restores its state. It is called in an init function.
//
// The version is that of the form in which save writes. restore is called before the first batch, mostly with one
// snapshot, and with several where fewer workers run than when they were taken, or where a canary ended; its error says what it
// cannot understand.
func Export(formVersion uint32, saves func() []byte, restores func(snapshots []Snapshot) error) {
	version, save, restore = formVersion, saves, restores
}

//go:wasmexport wattle:node/state@0.1.0#version
func exportVersion() uint32 { return version }

//go:wasmexport wattle:node/state@0.1.0#save
func exportSave() uint32 {
	defer abi.ReportPanic()
	abi.Begin()
	bytes := save()
	return abi.Answered(append([]uint32{version}, abi.Bytes(bytes)...), bytes)
}

//go:wasmexport wattle:node/state@0.1.0#restore
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
