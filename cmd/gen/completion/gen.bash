# Completion of gen for bash 4 and later: source <(gen completion bash)
# gen itself knows what could stand where the cursor is.
_gen() {
	local word before=${COMP_WORDS[COMP_CWORD - 1]} here=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	while IFS= read -r word; do
		case $word in
		:directories) compopt -o dirnames ;;
		:files) compopt -o default ;;
		*)
			# After the = of -host=vps1, bash wants the rest only.
			if [[ $before == = || $here == = ]]; then
				word=${word#*=}
			fi
			COMPREPLY+=("$word")
			;;
		esac
	done < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _gen gen
