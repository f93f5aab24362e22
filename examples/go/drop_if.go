package main

import (
	"bytes"
	"strings"

	"wattle"
)

// Drops events whose field contains a text.
func dropIfEvents(options *wattle.Options) wattle.Process {
	field, contains := options.ReadField("field", options.Text("field")), options.Text("contains")
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		if text, has := event.Get(field); has && strings.Contains(text, contains) {
			return wattle.Drop("matched")
		}
		return wattle.Keep
	})
}

func dropIfColumns(options *wattle.Options) wattle.Process {
	field, contains := options.ReadField("field", options.Text("field")), []byte(options.Text("contains"))
	return wattle.AllRows(func(batch *wattle.Batch) error {
		texts := batch.Read(field, wattle.Text)
		var matched []uint32
		for row := range batch.Rows() {
			if text := texts.Row(row); text != nil && bytes.Contains(text, contains) {
				matched = append(matched, uint32(row))
			}
		}
		batch.Drop(matched, "matched")
		return nil
	})
}
