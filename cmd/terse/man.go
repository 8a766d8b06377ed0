package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCommand struct{}

// Run prints the manual page of all commands, in the macros of man(7).
func (manCommand) Run(out output, k *kong.Kong) error {
	var b strings.Builder
	app := k.Model
	purpose, rest, _ := strings.Cut(strings.TrimSpace(app.Help), "\n")
	fmt.Fprintf(&b, ".TH TERSE 1 \"\" \"terse %s\"\n.SH NAME\nterse \\- a URL shortener\n", roff(version))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B terse\n.I command\n[flags]\n.SH DESCRIPTION\n%s\n.PP\n", roff(purpose))
	manText(&b, rest)
	b.WriteString(".SH COMMANDS\n")
	for _, command := range app.Leaves(true) {
		manOf(&b, command)
	}
	b.WriteString(".SH EXIT STATUS\n0: success. 1: the command failed. 2: the command line or a setting is wrong.\n")
	_, err := io.WriteString(out.stdout, b.String())
	return err
}

// manOf writes the section of a command.
func manOf(b *strings.Builder, command *kong.Node) {
	fmt.Fprintf(b, ".SS %s\n%s\n", roff("terse "+strings.TrimPrefix(command.Path(), "terse ")+positionals(command)), roff(command.Help))
	if command.Detail != "" {
		b.WriteString(".PP\n")
		manText(b, command.Detail)
	}
	for _, arg := range command.Positional {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
	}
	for _, flag := range command.Flags {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(flag.String()), roff(flag.Help))
	}
}

func positionals(command *kong.Node) string {
	var b strings.Builder
	for _, arg := range command.Positional {
		b.WriteString(" " + arg.Summary())
	}
	return b.String()
}

// manText writes paragraphs. Indented lines are examples.
func manText(b *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(paragraph, "    ") {
			b.WriteString(".PP\n.nf\n")
			for line := range strings.SplitSeq(paragraph, "\n") {
				b.WriteString(roff(line) + "\n")
			}
			b.WriteString(".fi\n.PP\n")
			continue
		}
		b.WriteString(roff(strings.ReplaceAll(paragraph, "\n", " ")) + "\n.PP\n")
	}
}

// roff returns text that man(7) prints as it is. A line must not begin as a macro does.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
