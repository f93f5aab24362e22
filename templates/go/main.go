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
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		text, has := event.Get(from)
		if !has {
			return wattle.Fail("missing", missing)
		}
		if strings.Contains(text, skip) {
			return wattle.Drop("skipped")
		}
		event.Set(to, strings.ToUpper(text))
		return wattle.Keep
	})
}

func main() {}
