package main

import (
	"flag"
	"fmt"
	"strings"
)

// completion prints a script that completes commands and flags.
func completion(e *env, args []string) int {
	if len(args) != 1 {
		e.note("usage: pb completion bash|zsh|fish")
		return statusUsage
	}
	switch args[0] {
	case "bash":
		e.line(bashCompletion())
	case "zsh":
		e.line("#compdef pb\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion())
	case "fish":
		e.line(fishCompletion())
	default:
		e.note("pb completion: unknown shell %s: bash, zsh and fish are known", quoted(args[0]))
		return statusUsage
	}
	return statusDone
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return append(names, "completion", "help", "version")
}

func (c command) flagNames() []string {
	f := newFlags(c.name)
	c.prepare(f)
	var names []string
	f.set.VisitAll(func(x *flag.Flag) { names = append(names, x.Name) })
	return names
}

func bashCompletion() string {
	var b strings.Builder
	b.WriteString("_pb() {\n  local cur=${COMP_WORDS[COMP_CWORD]}\n  COMPREPLY=()\n  if [[ $COMP_CWORD -eq 1 ]]; then\n")
	names := strings.Join(commandNames(), " ")
	fmt.Fprintf(&b, "    COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n    return\n  fi\n", names)
	b.WriteString("  case ${COMP_WORDS[1]} in\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "    %s) [[ $cur == -* ]] && COMPREPLY=($(compgen -W '-%s' -- \"$cur\")) ;;\n",
			c.name, strings.Join(c.flagNames(), " -"))
	}
	fmt.Fprintf(&b, "    help) COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", names)
	b.WriteString("    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")) ;;\n")
	b.WriteString("  esac\n}\ncomplete -o default -F _pb pb")
	return b.String()
}

func fishCompletion() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c pb -n __fish_use_subcommand -a %s -d '%s'\n", c.name, c.summary)
		for _, name := range c.flagNames() {
			fmt.Fprintf(&b, "complete -c pb -n '__fish_seen_subcommand_from %s' -o %s\n", c.name, name)
		}
	}
	fmt.Fprintf(&b, "complete -c pb -n __fish_use_subcommand -a 'completion help version'\n")
	b.WriteString("complete -c pb -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'")
	return b.String()
}
