#compdef gen
# Completion of gen for zsh: source <(gen completion zsh), or a file _gen in $fpath.
# gen itself knows what could stand where the cursor is.
_gen() {
	local -a answer
	answer=("${(@f)$("${(Q)words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	case $answer[1] in
	:directories) compset -P '*='; _files -/ ;;
	:files) compset -P '*='; _files ;;
	?*) compadd -- $answer ;;
	esac
}
if [[ $funcstack[1] == _gen ]]; then
	_gen
else
	compdef _gen gen
fi
