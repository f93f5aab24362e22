package main

import (
	"strconv"

	"wattle"
)

// Sets a field to the number of the event, counted from 1: a node with state.
func countEvents(options *wattle.Options) wattle.Process {
	to, count := options.WriteField("to", options.Text("to")), 0
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		count++
		event.Set(to, strconv.Itoa(count))
		return wattle.Keep
	})
}

func countColumns(options *wattle.Options) wattle.Process {
	to, count := options.WriteField("to", options.Text("to")), 0
	return wattle.AllRows(func(batch *wattle.Batch) error {
		values := wattle.NewWriter(8*batch.Rows(), batch.Rows())
		for range batch.Rows() {
			count++
			values.Push(strconv.Itoa(count))
		}
		batch.Set(to, wattle.Text, values)
		return nil
	})
}
