package wattle

import (
	"encoding/json"
	"fmt"
	"slices"

	"wattle/internal/abi"
)

var (
	node    Node
	process Process
)

// Export makes this node the node of the component. Call it in an init function.
func Export(exported Node) { node = exported }

//go:wasmexport wattle:node/node@0.2.0#describe
func exportDescribe() uint32 {
	abi.Begin()
	described := []string{node.Name, node.Version, node.Summary, node.OptionsSchema}
	var words []uint32
	for _, text := range described {
		words = append(words, abi.Address(text)...)
	}
	masks := uint32(0)
	if node.Masks {
		masks = 1
	}
	return abi.Answered(append(words, masks), described)
}

//go:wasmexport wattle:node/node@0.2.0#configure
func exportConfigure(text, length uint32) uint32 {
	defer abi.ReportPanic()
	options := Options{known: map[string]bool{}, ports: []string{"out"}}
	if err := json.Unmarshal(abi.Given[byte](text, length), &options.given); err != nil || options.given == nil {
		options.Error("", fmt.Sprint("the options must be a JSON object: ", err))
	} else {
		process = node.Configure(&options)
		for name := range options.given {
			if !options.known[name] {
				options.Error(name, "unknown option")
			}
		}
	}
	abi.Begin()
	if len(options.errors) == 0 {
		return configured(&options)
	}
	var list []uint32
	slices.SortFunc(options.errors, func(a, b optionError) int { return compare(a.path, b.path) })
	for _, wrong := range options.errors {
		list = append(append(list, abi.Address(wrong.path)...), abi.Address(wrong.message)...)
	}
	return abi.Answered(append([]uint32{1}, abi.ListOf(list, len(options.errors))...), options.errors)
}

// configured is the result of a configuration without errors.
func configured(options *Options) uint32 {
	words := append([]uint32{0}, texts(options.ports)...)
	ticks := uint32(0)
	if options.tick > 0 {
		ticks = 1
	}
	words = append(words, ticks, uint32(options.tick.Milliseconds()), uint32(options.share))
	return abi.Answered(append(words, texts(options.paths)...), [][]string{options.ports, options.paths})
}

// texts is a list of strings, which the caller keeps alive.
func texts(all []string) []uint32 {
	var list []uint32
	for _, text := range all {
		list = append(list, abi.Address(text)...)
	}
	return abi.ListOf(list, len(all))
}

//go:wasmexport wattle:node/node@0.2.0#process
func exportProcess() uint32 {
	defer abi.ReportPanic()
	err := process(&Batch{})
	abi.Begin()
	return abi.Failed(err)
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
