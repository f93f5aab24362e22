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

//go:wasmexport wattle:node/node@0.1.0#describe
func exportDescribe() uint32 {
	abi.Begin()
	texts := []string{node.Name, node.Version, node.Summary, node.OptionsSchema}
	var words []uint32
	for _, text := range texts {
		words = append(words, abi.Address(text)...)
	}
	masks := uint32(0)
	if node.Masks {
		masks = 1
	}
	return abi.Answered(append(words, masks), texts)
}

//go:wasmexport wattle:node/node@0.1.0#configure
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
	var list []uint32
	if len(options.errors) == 0 {
		for _, port := range options.ports {
			list = append(list, abi.Address(port)...)
		}
		return abi.Answered(append([]uint32{0}, abi.ListOf(list, len(options.ports))...), options.ports)
	}
	slices.SortFunc(options.errors, func(a, b optionError) int { return compare(a.path, b.path) })
	for _, wrong := range options.errors {
		list = append(append(list, abi.Address(wrong.path)...), abi.Address(wrong.message)...)
	}
	return abi.Answered(append([]uint32{1}, abi.ListOf(list, len(options.errors))...), options.errors)
}

//go:wasmexport wattle:node/node@0.1.0#process
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
