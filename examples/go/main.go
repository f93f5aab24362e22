// All example nodes in one component. The options `node` and `face` select one, because the
// conformance suite checks all of them. Your component has one node: see templates/go.
package main

import (
	"errors"

	"wattle"
	"wattle/state"
	"wattle/timer"
)

type example struct {
	events, columns func(options *wattle.Options) wattle.Process
	// nil if the node has no state.
	save    func() []byte
	restore func(snapshots []state.Snapshot) error
	// nil if the node has no timer.
	tick func(tick *wattle.Tick) error
}

var nodes = map[string]example{
	"add-field": {events: addFieldEvents, columns: addFieldColumns},
	"drop-if":   {events: dropIfEvents, columns: dropIfColumns},
	"require":   {events: requireEvents, columns: requireColumns},
	"count":     {events: countEvents, columns: countColumns, save: saveCount, restore: restoreCount},
	"memory":    {memoryEvents, memoryColumns, saveMemory, restoreMemory, tickMemory},
	"decisions": {columns: decisions},
}

var chosen example

func init() {
	wattle.Export(wattle.Node{
		Name:          "examples",
		Version:       "1.0.0",
		Summary:       "The example nodes.",
		OptionsSchema: `{"type":"object","properties":{"node":{},"face":{}}}`,
		Configure: func(options *wattle.Options) wattle.Process {
			chosen = nodes[options.Text("node")]
			configure := chosen.columns
			if options.Text("face") == "events" {
				configure = chosen.events
			}
			if configure == nil {
				options.Error("node", "there is no such node with this face")
				return nil
			}
			return configure(options)
		},
	})
	state.Export(1, save, restore)
	timer.Export(tick)
}

// A node without a timer asks for no ticks, but the host can make one.
func tick(tick *wattle.Tick) error {
	if chosen.tick == nil {
		return nil
	}
	return chosen.tick(tick)
}

// A node without state saves nothing, and refuses any other state.
func save() []byte {
	if chosen.save == nil {
		return nil
	}
	return chosen.save()
}

func restore(snapshots []state.Snapshot) error {
	if chosen.restore != nil {
		return chosen.restore(snapshots)
	}
	for _, snapshot := range snapshots {
		if snapshot.Version != 1 || len(snapshot.Bytes) > 0 {
			return errors.New("this node keeps no state")
		}
	}
	return nil
}

func main() {}
