// All example nodes in one component, which takes the option `node` to say which one it is, and `face`, because the
// conformance suite checks all of them. A component of one's own has one node: see templates/go.
package main

import "wattle"

type example struct {
	events, columns func(options *wattle.Options) wattle.Process
}

var nodes = map[string]example{
	"add-field": {addFieldEvents, addFieldColumns},
	"drop-if":   {dropIfEvents, dropIfColumns},
	"require":   {requireEvents, requireColumns},
	"count":     {countEvents, countColumns},
	"decisions": {nil, decisions},
}

func init() {
	wattle.Export(wattle.Node{
		Name:          "examples",
		Version:       "1.0.0",
		Summary:       "The example nodes.",
		OptionsSchema: `{"type":"object","properties":{"node":{},"face":{}}}`,
		Configure: func(options *wattle.Options) wattle.Process {
			node := nodes[options.Text("node")]
			configure := node.columns
			if options.Text("face") == "events" {
				configure = node.events
			}
			if configure == nil {
				options.Error("node", "there is no such node with this face")
				return nil
			}
			return configure(options)
		},
	})
}

func main() {}
