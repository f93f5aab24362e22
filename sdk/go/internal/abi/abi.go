// Package abi passes values by the canonical ABI of the component model. A list or a string is an address and a length, of
// 32 bits each; a result of more than one number is the address of memory that contains it.
package abi

import (
	"fmt"
	"runtime/debug"
	"unsafe"
)

var (
	// Memory passed to the host in the current call; nothing else keeps it alive.
	held [][]uint64
	// The results of an export, until the host has read them.
	answer  []uint32
	answers []any
)

//go:wasmimport wattle:node/diagnostics@0.2.0 panicked
func hostPanicked(message string)

//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uint32) uint32 {
	// Words of 64 bits, because nothing in the contract is aligned to more.
	memory := make([]uint64, (size+7)/8+1)
	held = append(held, memory)
	to := unsafe.Pointer(unsafe.SliceData(memory))
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(to), size), Given[byte](old, min(oldSize, size)))
	}
	return uint32(uintptr(to))
}

// Begin releases the memory of earlier calls.
func Begin() { held, answers = nil, nil }

// Answered keeps the memory of a result alive, and returns the address of the result.
func Answered(words []uint32, kept any) uint32 {
	answer = words
	answers = append(answers, kept)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(answer))))
}

// Failed is the result of a call: success, or an error.
func Failed(err error) uint32 {
	if err == nil {
		return Answered([]uint32{0, 0, 0}, nil)
	}
	message := err.Error()
	return Answered(append([]uint32{1}, Address(message)...), message)
}

// ListOf returns a list of this many elements in memory that stays alive until the host has read it.
func ListOf(words []uint32, length int) []uint32 {
	answers = append(answers, words)
	return []uint32{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(words)))), uint32(length)}
}

// ReportPanic sends the message and the stack of a panic to the host before the panic ends the call. Defer it.
func ReportPanic() {
	if message := recover(); message != nil {
		hostPanicked(fmt.Sprint("panic: ", message, "\n", string(debug.Stack())))
		panic(message)
	}
}

// Given returns memory that the host filled after a call of cabi_realloc.
func Given[T any](address, length uint32) []T {
	if length == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(address))), length)
}

// Taken returns a slice in the form that the host reads.
func Taken[T any](slice []T) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(slice)), uint32(len(slice))
}

// Address returns the address and the length of a string. The caller must keep the string alive.
func Address(text string) []uint32 {
	return []uint32{uint32(uintptr(unsafe.Pointer(unsafe.StringData(text)))), uint32(len(text))}
}

// Bytes returns the address and the length of bytes. The caller must keep the bytes alive.
func Bytes(bytes []byte) []uint32 {
	at, length := Taken(bytes)
	return []uint32{uint32(uintptr(at)), length}
}
