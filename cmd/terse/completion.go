package main

import "fmt"

// completions are the lines that make a shell call this program for completions, with the
// command line in COMP_LINE.
var completions = map[string]string{
	"bash": "complete -o default -C terse terse\n",
	"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -o default -C terse terse\n",
	"fish": "complete -c terse -a '(COMP_LINE=(commandline -cp) terse)'\n",
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown below the command's purpose.
func (*completionCommand) Help() string {
	return `Add one of these lines to the start file of your shell:

    source <(terse completion bash)    # ~/.bashrc
    source <(terse completion zsh)     # ~/.zshrc, after compinit
    terse completion fish | source     # ~/.config/fish/config.fish

terse must be in a folder of PATH.`
}

// Run prints the lines for the shell.
func (c *completionCommand) Run(out output) error {
	_, err := fmt.Fprint(out.stdout, completions[c.Shell])
	return err
}
