# Completion of gen for fish: gen completion fish | source
# gen itself knows what could stand where the cursor is.
function __gen_complete
	set -l words (commandline -opc)
	set -l answer ($words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null)
	switch "$answer[1]"
		case :directories
			__fish_complete_directories (commandline -ct)
		case :files
			__fish_complete_path (commandline -ct)
		case '*'
			string join \n -- $answer
	end
end
complete -c gen -f -a '(__gen_complete)'
