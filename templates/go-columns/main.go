// A node that sets a field to the text of another in capitals. Events without it fail, events that hold a text are dropped.
package main

import (
	"strings"

	"wattle"
)

const schema = `{"type": "object", "additionalProperties": false, "required": ["from", "to", "skip"],
"properties": {"from": {"type": "string"}, "to": {"type": "string"}, "skip": {"type": "string"}}}`

func init() {
	wattle.Export(wattle.Node{
		Name:          "my-node",
		Version:       "0.1.0",
		Summary:       "Sets a field to the text of another in capitals.",
		OptionsSchema: schema,
		Configure:     configure,
	})
}

func configure(options *wattle.Options) wattle.Process {
	path := options.Text("from")
	from := options.ReadField("from", path)
	to := options.WriteField("to", options.Text("to"))
	skip := options.Text("skip")
	missing := "the field `" + path + "` is missing"
	return wattle.AllRows(func(batch *wattle.Batch) error {
		texts, rows := batch.Read(from, wattle.Text), batch.Rows()
		values := wattle.NewWriter(len(texts.Bytes), rows)
		var dropped []uint32
		var reasons wattle.Reasons
		for row := range rows {
			bytes := texts.Row(row)
			text := strings.ToValidUTF8(string(bytes), "\uFFFD")
			switch {
			case bytes == nil:
				reasons.Add(row, "missing", missing)
			case strings.Contains(text, skip):
				dropped = append(dropped, uint32(row))
			default:
				values.Push(strings.ToUpper(text))
				continue
			}
			values.PushNone()
		}
		batch.Set(to, wattle.Text, values)
		batch.Drop(dropped, "skipped")
		batch.Fail(&reasons)
		return nil
	})
}

func main() {}
