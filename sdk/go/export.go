package wattle

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"unsafe"
)

var (
	node    Node
	process Process
	// Memory that the host was given in the current call: nothing else keeps it alive.
	held [][]uint64
	// What an export has answered with, until the host has read it.
	answer  []uint32
	answers []any
)

// Export makes the node the component's. It is called in an init function.
func Export(exported Node) { node = exported }

//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uint32) uint32 {
	// Words of 64 bits, because nothing in the contract is aligned to more.
	memory := make([]uint64, (size+7)/8+1)
	held = append(held, memory)
	to := unsafe.Pointer(unsafe.SliceData(memory))
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(to), size), given[byte](old, min(oldSize, size)))
	}
	return uint32(uintptr(to))
}

//go:wasmexport wattle:node/node@0.1.0#describe
func exportDescribe() uint32 {
	begin()
	texts := []string{node.Name, node.Version, node.Summary, node.OptionsSchema}
	var words []uint32
	for _, text := range texts {
		words = append(words, address(text)...)
	}
	masks := uint32(0)
	if node.Masks {
		masks = 1
	}
	return answered(append(words, masks), texts)
}

//go:wasmexport wattle:node/node@0.1.0#configure
func exportConfigure(text, length uint32) uint32 {
	defer told()
	options := Options{known: map[string]bool{}, ports: []string{"out"}}
	if err := json.Unmarshal(given[byte](text, length), &options.given); err != nil || options.given == nil {
		options.Error("", fmt.Sprint("the options must be a JSON object: ", err))
	} else {
		process = node.Configure(&options)
		for name := range options.given {
			if !options.known[name] {
				options.Error(name, "unknown option")
			}
		}
	}
	begin()
	var list []uint32
	if len(options.errors) == 0 {
		for _, port := range options.ports {
			list = append(list, address(port)...)
		}
		return answered(append([]uint32{0}, listOf(list, len(options.ports))...), options.ports)
	}
	slices.SortFunc(options.errors, func(a, b optionError) int { return compare(a.path, b.path) })
	for _, wrong := range options.errors {
		list = append(append(list, address(wrong.path)...), address(wrong.message)...)
	}
	return answered(append([]uint32{1}, listOf(list, len(options.errors))...), options.errors)
}

//go:wasmexport wattle:node/node@0.1.0#process
func exportProcess() uint32 {
	defer told()
	err := process(&Batch{})
	begin()
	if err == nil {
		return answered([]uint32{0, 0, 0}, nil)
	}
	message := err.Error()
	return answered(append([]uint32{1}, address(message)...), message)
}

// begin lets go of what the host has given and been given.
func begin() { held, answers = nil, nil }

// answered keeps what an answer points at, and gives the address of the answer itself.
func answered(words []uint32, kept any) uint32 {
	answer = words
	answers = append(answers, kept)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(answer))))
}

func listOf(words []uint32, length int) []uint32 {
	answers = append(answers, words)
	return []uint32{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(words)))), uint32(length)}
}

// told tells the host of a panic before it ends the call: with its message, and where it was.
func told() {
	if message := recover(); message != nil {
		hostPanicked(fmt.Sprint("panic: ", message, "\n", string(debug.Stack())))
		panic(message)
	}
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
