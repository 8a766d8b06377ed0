package web

import (
	"html/template"
	"time"
)

// consoleFuncs are the functions of the console's templates. They gather the arguments of a part.
var consoleFuncs = template.FuncMap{
	"roles": roleChoices,
	"choices": func(name, label, value string, choices []choice, errors map[string]string) choiceField {
		return choiceField{name, label, value, errors[name], choices}
	},
	"conflict": func(what, discard string, rows []Difference) conflict { return conflict{what, discard, rows} },
	"day":      func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
	"field": func(name, label, kind, value string, errors map[string]string, hint, class string, focus bool) textField {
		return textField{name, label, kind, value, errors[name], hint, class, focus}
	},
	"password": func(protected bool) string {
		if protected {
			return "Empty: the password stays"
		}
		return "Visitors enter it to open the link"
	},
	"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"tabs":    func(tab, path string, who *Viewer) tabs { return tabs{tab, path, who} },
	"tagpath": LinkList{}.TagPath,
}

// tabs are the pages of one link.
type tabs struct {
	Tab, Path string
	Viewer    *Viewer
}

// conflict are the changes of another person to what a form shows.
type conflict struct {
	What    string
	Discard string // address of the form without the visitor's changes
	Rows    []Difference
}

// textField is a field of a form. Name is also the name of its error.
type textField struct {
	Name, Label, Type, Value, Error, Hint, Class string
	Focus                                        bool
}

// choiceField is a field with a fixed set of values.
type choiceField struct {
	Name, Label, Value, Error string
	Choices                   []choice
}
